"""The words of the demo benchmark: two topics a dimension, each worded in two ways.

A topic crosses two findings: its four options are the four combinations, so that no option is
closer to the others than any other is, and each is right for one picture in four.
"""

from __future__ import annotations

from dataclasses import dataclass

DIMENSIONS = ("Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis")
QUESTION_TYPES = ("type_A", "type_B", "type_C", "type_D", "type_E")


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask: the question, and option texts for (first, second) finding.

    `options` lists no/no, no/yes, yes/no and yes/yes; `order` says in which order they are shown.
    """

    question: str
    options: tuple[str, str, str, str]
    order: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Topic:
    """Two findings (names of demo_scene.FINDINGS) that one question needs, and its wordings."""

    findings: tuple[str, str]
    wordings: tuple[Wording, ...]
    needs_high: bool = True


def _crossed(
    template: str, first: tuple[str, str], second: tuple[str, str]
) -> tuple[str, str, str, str]:
    """The four combinations of (no, yes) phrases of two findings."""
    texts = [template.format(a, b) for a in first for b in second]
    return texts[0], texts[1], texts[2], texts[3]


TOPICS: tuple[tuple[Topic, Topic], ...] = (
    (
        Topic(
            ("glands", "large_nuclei"),
            (
                Wording(
                    "Which pairing of the pattern at low power with the nuclei at high power "
                    "holds for these views?",
                    _crossed(
                        "{} at low power, {} at high power",
                        ("solid sheets", "open glands"),
                        ("small even nuclei", "large uneven nuclei"),
                    ),
                    (2, 0, 3, 1),
                ),
                Wording(
                    "How do the architecture of the overview and the cells of the closest view "
                    "correspond?",
                    _crossed(
                        "The overview shows {} and the closest view {}",
                        ("sheets without lumens", "glands with lumens"),
                        ("small nuclei", "large nuclei"),
                    ),
                    (1, 2, 0, 3),
                ),
            ),
        ),
        Topic(
            ("dense_stroma", "pigment"),
            (
                Wording(
                    "Which pairing of the stroma at low power with the fine detail at high power "
                    "holds for these views?",
                    _crossed(
                        "{} at low power, {} at high power",
                        ("pale loose stroma", "pink dense stroma"),
                        ("fields free of pigment", "brown pigment granules"),
                    ),
                    (3, 1, 0, 2),
                ),
                Wording(
                    "How do the background of the overview and the deposits of the closest view "
                    "correspond?",
                    _crossed(
                        "The overview has a {} background and the closest view {}",
                        ("pale", "deep pink"),
                        ("lacks brown granules", "holds brown granules"),
                    ),
                    (0, 3, 2, 1),
                ),
            ),
        ),
    ),
    (
        Topic(
            ("clusters", "lymphocytes"),
            (
                Wording(
                    "Does the closest view confirm what the overview suggests about lymphocytes?",
                    _crossed(
                        "{} in the overview, {} in the closest view",
                        ("no dark cell clusters", "dark cell clusters"),
                        ("no lymphocytes", "scattered lymphocytes"),
                    ),
                    (1, 3, 0, 2),
                ),
                Wording(
                    "Is an inflammatory infiltrate suspected at low power, and is it borne out at "
                    "high power?",
                    _crossed(
                        "{} at low power and {} at high power",
                        ("not suspected", "suspected"),
                        ("not found", "found"),
                    ),
                    (3, 0, 1, 2),
                ),
            ),
        ),
        Topic(
            ("clusters", "pigment"),
            (
                Wording(
                    "Do the overview's signs of inflammation and the closest view's signs of old "
                    "bleeding confirm each other?",
                    _crossed(
                        "{} from afar, {} close up",
                        ("no lymphoid clusters", "lymphoid clusters"),
                        ("no brown pigment", "brown pigment"),
                    ),
                    (2, 1, 3, 0),
                ),
                Wording(
                    "Which check of a supposed inflamed haemorrhage is right for these views?",
                    _crossed(
                        "Inflammation {} in the overview, old blood {} in the closest view",
                        ("absent", "present"),
                        ("absent", "present"),
                    ),
                    (0, 2, 3, 1),
                ),
            ),
        ),
    ),
    (
        Topic(
            ("vessel_lower", "vessel_right"),
            (
                Wording(
                    "In which quarter of the overview does the blood-filled vessel lie?",
                    _crossed("{} {}", ("Upper", "Lower"), ("left", "right")),
                    (3, 0, 2, 1),
                ),
                Wording(
                    "Where at low power is the thick-walled red vessel?",
                    _crossed("At the {}, {} of the centre", ("top", "bottom"), ("left", "right")),
                    (1, 2, 3, 0),
                ),
            ),
            needs_high=False,
        ),
        Topic(
            ("pool_lower", "pool_right"),
            (
                Wording(
                    "In which quarter of the middle view does the pale blue mucin pool lie?",
                    _crossed("{} {}", ("Upper", "Lower"), ("left", "right")),
                    (2, 3, 0, 1),
                ),
                Wording(
                    "Where at medium power is the pool of mucin?",
                    _crossed("At the {}, {} of the centre", ("top", "bottom"), ("left", "right")),
                    (0, 1, 2, 3),
                ),
            ),
            needs_high=False,
        ),
    ),
    (
        Topic(
            ("necrosis", "mitoses"),
            (
                Wording(
                    "Which account of growth and blood supply explains the overview together with "
                    "the closest view?",
                    (
                        "A quiet tissue: neither dead areas nor dividing cells",
                        "Growth within its supply: dividing cells, and no dead areas",
                        "Supply cut off at rest: dead areas, and no dividing cells",
                        "Growth beyond its supply: dead areas and dividing cells",
                    ),
                    (1, 0, 3, 2),
                ),
                Wording(
                    "What explains both the low-power and the high-power findings?",
                    _crossed(
                        "{} at low power with {} at high power",
                        ("preserved tissue", "necrosis"),
                        ("resting nuclei", "mitotic figures"),
                    ),
                    (2, 0, 1, 3),
                ),
            ),
        ),
        Topic(
            ("dense_stroma", "lymphocytes"),
            (
                Wording(
                    "Which process explains the stroma of the overview together with the cells of "
                    "the closest view?",
                    (
                        "Oedema of loose stroma without inflammation",
                        "Oedema of loose stroma with inflammation",
                        "Scarring of dense stroma without inflammation",
                        "Scarring of dense stroma with inflammation",
                    ),
                    (3, 2, 0, 1),
                ),
                Wording(
                    "What explains the texture at low power and the cells at high power?",
                    _crossed(
                        "{} tissue at low power with {} at high power",
                        ("swollen pale", "fibrous pink"),
                        ("few lymphocytes", "many lymphocytes"),
                    ),
                    (1, 3, 2, 0),
                ),
            ),
        ),
    ),
    (
        Topic(
            ("glands", "mitoses"),
            (
                Wording(
                    "Which diagnosis fits all views?",
                    (
                        "Solid carcinoma of low grade",
                        "Solid carcinoma of high grade",
                        "Gland-forming carcinoma of low grade",
                        "Gland-forming carcinoma of high grade",
                    ),
                    (0, 3, 1, 2),
                ),
                Wording(
                    "What is the most fitting diagnosis, by pattern and by mitotic activity?",
                    _crossed(
                        "{} carcinoma, {}",
                        ("Undifferentiated", "Glandular"),
                        ("mitotically inactive", "mitotically active"),
                    ),
                    (3, 1, 2, 0),
                ),
            ),
        ),
        Topic(
            ("clusters", "large_nuclei"),
            (
                Wording(
                    "Which tumour type fits all views?",
                    (
                        "Small-cell tumour without lymphoid reaction",
                        "Large-cell tumour without lymphoid reaction",
                        "Small-cell tumour with lymphoid reaction",
                        "Large-cell tumour with lymphoid reaction",
                    ),
                    (1, 0, 2, 3),
                ),
                Wording(
                    "Name the tumour by its cells and by its surroundings.",
                    (
                        "Small cells in bland surroundings",
                        "Large cells in bland surroundings",
                        "Small cells amid lymphoid nodules",
                        "Large cells amid lymphoid nodules",
                    ),
                    (2, 3, 1, 0),
                ),
            ),
        ),
    ),
)
