"""The words of the demo benchmark: two topics a dimension, each worded in two ways.

A topic crosses two findings: its four options are the four combinations, so that no option is
closer to the others than any other is, and each is right for one picture in four.
"""

from __future__ import annotations

from dataclasses import dataclass

DIMENSIONS = ("Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis")
QUESTION_TYPES = ("type_A", "type_B", "type_C", "type_D", "type_E")

Pair = tuple[str, str]
Four = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask: the question, and option texts for (first, second) finding.

    `options` lists no/no, no/yes, yes/no and yes/yes; `order` says in which order they are shown.
    """

    question: str
    order: tuple[int, int, int, int]
    options: Four


@dataclass(frozen=True, slots=True)
class Topic:
    """Two findings (names of scene.FINDINGS) that one question needs, and its two wordings."""

    findings: Pair
    wordings: tuple[Wording, Wording]
    needs_high: bool = True


def _crossed(template: str, first: Pair, second: Pair) -> Four:
    """The four combinations of (no, yes) phrases of two findings."""
    texts = [template.format(a, b) for a in first for b in second]
    return texts[0], texts[1], texts[2], texts[3]


# fmt: off
TOPICS: tuple[tuple[Topic, Topic], ...] = (
    (
        Topic(("glands", "large_nuclei"), (
            Wording("Which pairing of the pattern at low power with the nuclei at high power holds "
                    "for these views?", (2, 0, 3, 1),
                    _crossed("{} at low power, {} at high power", ("solid sheets", "open glands"),
                             ("small even nuclei", "large uneven nuclei"))),
            Wording("How do the architecture of the overview and the cells of the closest view "
                    "correspond?", (1, 2, 0, 3),
                    _crossed("The overview shows {} and the closest view {}",
                             ("sheets without lumens", "glands with lumens"),
                             ("small nuclei", "large nuclei"))),
        )),
        Topic(("dense_stroma", "pigment"), (
            Wording("Which pairing of the stroma at low power with the fine detail at high power "
                    "holds for these views?", (3, 1, 0, 2),
                    _crossed("{} at low power, {} at high power",
                             ("pale loose stroma", "pink dense stroma"),
                             ("fields free of pigment", "brown pigment granules"))),
            Wording("How do the background of the overview and the deposits of the closest view "
                    "correspond?", (0, 3, 2, 1),
                    _crossed("The overview has a {} background and the closest view {}",
                             ("pale", "deep pink"),
                             ("lacks brown granules", "holds brown granules"))),
        )),
    ),
    (
        Topic(("clusters", "lymphocytes"), (
            Wording("Does the closest view confirm what the overview suggests about lymphocytes?",
                    (1, 3, 0, 2),
                    _crossed("{} in the overview, {} in the closest view",
                             ("no dark cell clusters", "dark cell clusters"),
                             ("no lymphocytes", "scattered lymphocytes"))),
            Wording("Is an inflammatory infiltrate suspected at low power, and is it borne out at "
                    "high power?", (3, 0, 1, 2),
                    _crossed("{} at low power and {} at high power",
                             ("not suspected", "suspected"), ("not found", "found"))),
        )),
        Topic(("clusters", "pigment"), (
            Wording("Do the overview's signs of inflammation and the closest view's signs of old "
                    "bleeding confirm each other?", (2, 1, 3, 0),
                    _crossed("{} from afar, {} close up",
                             ("no lymphoid clusters", "lymphoid clusters"),
                             ("no brown pigment", "brown pigment"))),
            Wording("Which check of a supposed inflamed haemorrhage is right for these views?",
                    (0, 2, 3, 1),
                    _crossed("Inflammation {} in the overview, old blood {} in the closest view",
                             ("absent", "present"), ("absent", "present"))),
        )),
    ),
    (
        Topic(("vessel_lower", "vessel_right"), (
            Wording("In which quarter of the overview does the blood-filled vessel lie?",
                    (3, 0, 2, 1), _crossed("{} {}", ("Upper", "Lower"), ("left", "right"))),
            Wording("Where at low power is the thick-walled red vessel?", (1, 2, 3, 0),
                    _crossed("At the {}, {} of the centre", ("top", "bottom"), ("left", "right"))),
        ), needs_high=False),
        Topic(("pool_lower", "pool_right"), (
            Wording("In which quarter of the middle view does the pale blue mucin pool lie?",
                    (2, 3, 0, 1), _crossed("{} {}", ("Upper", "Lower"), ("left", "right"))),
            Wording("Where at medium power is the pool of mucin?", (0, 1, 2, 3),
                    _crossed("At the {}, {} of the centre", ("top", "bottom"), ("left", "right"))),
        ), needs_high=False),
    ),
    (
        Topic(("necrosis", "mitoses"), (
            Wording("Which account of growth and blood supply explains the overview together with "
                    "the closest view?", (1, 0, 3, 2),
                    ("A quiet tissue: neither dead areas nor dividing cells",
                     "Growth within its supply: dividing cells, and no dead areas",
                     "Supply cut off at rest: dead areas, and no dividing cells",
                     "Growth beyond its supply: dead areas and dividing cells")),
            Wording("What explains both the low-power and the high-power findings?", (2, 0, 1, 3),
                    _crossed("{} at low power with {} at high power",
                             ("preserved tissue", "necrosis"),
                             ("resting nuclei", "mitotic figures"))),
        )),
        Topic(("dense_stroma", "lymphocytes"), (
            Wording("Which process explains the stroma of the overview together with the cells of "
                    "the closest view?", (3, 2, 0, 1),
                    _crossed("{} {} inflammation",
                             ("Oedema of loose stroma", "Scarring of dense stroma"),
                             ("without", "with"))),
            Wording("What explains the texture at low power and the cells at high power?",
                    (1, 3, 2, 0),
                    _crossed("{} tissue at low power with {} at high power",
                             ("swollen pale", "fibrous pink"),
                             ("few lymphocytes", "many lymphocytes"))),
        )),
    ),
    (
        Topic(("glands", "mitoses"), (
            Wording("Which diagnosis fits all views?", (0, 3, 1, 2),
                    _crossed("{} carcinoma of {} grade", ("Solid", "Gland-forming"),
                             ("low", "high"))),
            Wording("What is the most fitting diagnosis, by pattern and by mitotic activity?",
                    (3, 1, 2, 0),
                    _crossed("{} carcinoma, {}", ("Undifferentiated", "Glandular"),
                             ("mitotically inactive", "mitotically active"))),
        )),
        Topic(("clusters", "large_nuclei"), (
            Wording("Which tumour type fits all views?", (1, 0, 2, 3),
                    ("Small-cell tumour without lymphoid reaction",
                     "Large-cell tumour without lymphoid reaction",
                     "Small-cell tumour with lymphoid reaction",
                     "Large-cell tumour with lymphoid reaction")),
            Wording("Name the tumour by its cells and by its surroundings.", (2, 3, 1, 0),
                    ("Small cells in bland surroundings", "Large cells in bland surroundings",
                     "Small cells amid lymphoid nodules", "Large cells amid lymphoid nodules")),
        )),
    ),
)
# fmt: on
