"""An audit in words and tables, once for all who show it: page, terminal, badge and datasheet.

Everything is made from what audit.json holds. Texts of the data stand in it as they are: who shows
them makes them safe (`pages` has the means).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalevqa_eval.audit.results import WORDS, p_text
from scalevqa_eval.pages import fraction, percent, span

ALL = "all questions"
SEVERITY_ORDER = {"error": 0, "warning": 1, "note": 2}
_PHRASES = 30
_CUES = 12

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. `share` (with accuracy, ci, chance) is also drawn as a bar, where it is.

    `at_chance` rows can be folded away.
    """

    name: str
    cells: tuple[str, ...]
    about: str = ""
    share: Data | None = None
    at_chance: bool = False
    total: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` has the heading of the names first. `key` is a stable short name."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    more: int = 0


def name_of(benchmark: Data) -> str:
    """Benchmark and split; a bare file is named like its split, which is said once."""
    return " ".join(dict.fromkeys(filter(None, (benchmark["name"], benchmark["split"]))))


def _dimension(name: str | None) -> str:
    """None is all questions; a dimension that is called so stands in quotation marks."""
    return ALL if name is None else f"“{name}”" if name == ALL else name


def verdict_words(data: Data) -> str:
    """The verdict; one that finds nothing says what was not looked for."""
    words = WORDS[data["verdict"]]
    if _by_knowledge_alone(data):
        return f"leaky by knowledge; text probes: {WORDS[data['parts']['text']]}"
    if data["verdict"] == "clean" and data["parts"]["knowledge"] == "not tested":
        return f"{words}; knowledge not tested"
    return words


def verdict_text(data: Data) -> str:
    """The verdict, and what it is about: said once where the verdict says so itself."""
    words = verdict_words(data)
    return words if "knowledge not tested" in words else f"{words} ({data['scope']})"


def _by_knowledge_alone(data: Data) -> bool:
    """Whether language models answer without images, and nothing else is leaky."""
    found = [name for name, part in data["parts"].items() if part == "leaky"]
    return data["verdict"] == "leaky" and set(found) - {"whole_file"} == {"knowledge"}


def first_line(data: Data) -> str:
    """What a reader without images gets, what a guesser, and what the best simple rule."""
    text, n = data["text_only"], data["text_only"]["n"]
    line = f"A reader without images gets {text['correct']:.0f} of {n}. "
    line += f"A guesser gets {text['chance'] * n:.0f}."
    base = text["majority"]
    if base["correct"] > text["chance"] * n + 0.5:
        line += f" Always giving the commonest label gets {base['correct']:.0f}."
    rules = [p for p in text["probes"] if p["kind"] == "rule"]
    best = max(rules, key=lambda p: (p["correct"], p["name"]), default=None)
    if best is not None and best["ci"][0] > max(best["chance"], best["base_rate"]):
        line += f" Picking {best['about'].split(' (')[0]} gets {best['correct']:.0f}."
    place = data["position"]
    if place["p_adjusted"] <= place["level"] and len(place["counts"]) > 1:
        most = max(place["counts"])
        line += f" Always taking place {place['counts'].index(most) + 1} gets {most}"
        line += f" of {sum(place['counts'])}." if place["fixed_order"] else "."
    knows = [row for row in (data.get("blind") or {}).get("results", ())
             if row["call"] == "above" and row["condition"] == "no-images"]  # fmt: skip
    if knows:
        best = max(knows, key=lambda row: (row["correct"], row["model"]))
        line += f" {best['model']}, asked without images, gets {best['correct']:.0f}"
        line += "." if best["n"] == n else f" of {best['n']}."
    return line


def share(row: Data) -> str:
    """`349/450 = 77.6 % [72.1, 82.0]`."""
    return f"{fraction(round(row['correct'], 1), row['n'])} = {percent(row['accuracy'])} % " + span(
        row["ci"]
    )


def points(value: float | None) -> str:
    """A difference in percentage points with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}"


def leak(row: Data) -> str:
    """`+36.9 (0.74)`: points above the base rate, and as a part of what that leaves."""
    corrected, said = row.get("chance_corrected"), points(row.get("leak"))
    return said if corrected is None else f"{said} ({round(corrected, 2) + 0.0:.2f})"


def p_words(row: Data, key: str = "p_value") -> str:
    """A p-value for a cell: `≤` is the least that so many redraws can show."""
    value = row.get(key)
    return "–" if value is None else p_text(value, row.get("p_least") or 0.0).split(",")[0]


def tables(data: Data) -> list[Table]:
    """Every table of an audit, in the order of the page; those of parts that are there."""
    made = [dimensions(data), _probes(data), _inputs(data), *_groups(data), *_transfer(data)]
    made += [*_cues(data), *_phrases(data), *_blind(data), *_visual(data), *_repair(data)]
    return [*made, _position(data)]


def _rows(block: Data, by_dimension: Mapping[str, Data]) -> list[tuple[Row, Data]]:
    """Dimensions, then all questions: told apart by `total`, for a dimension may have any name."""
    rows = [(name, part) for name, part in by_dimension.items()] if len(by_dimension) > 1 else []
    found = [(Row(name, (), share=part), part) for name, part in rows]
    return [*found, (Row(ALL, (), share=block, total=True), block)]


def _label(row: Row) -> str:
    return _dimension(None if row.total else row.name)


def dimensions(data: Data) -> Table:
    """The headline: one question at a time and the whole file apart, beside the base rate."""
    text, file = data["text_only"], data["whole_file"]
    rows = []
    for row, part in _rows(text, text["by_dimension"]):
        whole = file if row.total else file["by_dimension"][row.name]
        cells = (
            share(part), percent(part["base_rate"]), leak(part), share(whole),
            p_words(part, "p_adjusted"), WORDS[part["verdict"]],
        )  # fmt: skip
        rows.append(Row(_label(row), cells, share=part, total=row.total))
    detectable = text["detectable_leak"]
    caption = (
        "A reader of the text alone, trained on other slides. Base rate: the commonest label of "
        "each set of options, or guessing. Leak: points above it (as a part of what it leaves). "
        f"p: over all probes and rows, against {data['settings']['permutations']} redraws of the "
        "answers that keep what hangs "
        "together in a slide; ≤: the least that so many can show."
    )
    if detectable is not None:
        caption += f" Leaks from {100 * detectable:.1f} points on are seen with 80 % power."
    columns = ("", "one question at a time", "base rate %", "leak", "who has the whole file", "p",
               "text alone is")  # fmt: skip
    return Table("dimensions", "What text alone reaches", columns, tuple(rows), caption)


def _probes(data: Data) -> Table:
    rows = []
    seen: set[str] = set()
    file_only = [p for p in data["whole_file"]["probes"] if p["scope"] == "file"]
    for probe in sorted([*data["text_only"]["probes"], *file_only],
                        key=lambda p: (-p["accuracy"], p["name"])):  # fmt: skip
        if probe["name"] in seen:
            continue
        seen.add(probe["name"])
        low, high = probe["ci"]
        null = "–" if probe["null_mean"] is None else percent(probe["null_mean"])
        cells = (share(probe), leak(probe), null, p_words(probe),
                 "whole file" if probe["scope"] == "file" else "one question")  # fmt: skip
        inside = low <= max(probe["base_rate"], probe["chance"]) and high >= probe["chance"]
        rows.append(Row(probe["name"], cells, probe["about"], probe, inside))
    columns = ("probe", "right without images", "leak", "on redrawn answers %", "p", "sees")
    return Table("probes", "Every probe, all questions", columns, tuple(rows))


def _inputs(data: Data) -> Table:
    rows = tuple(
        Row(part["input"], (share(part), leak(part)), share=part)
        for part in data["text_only"]["partial_inputs"]
    )
    return Table(
        "inputs", "What each part of the text is worth", ("a reader of", "right", "leak"), rows,
        "“Both joined” lets options that are alike and asked alike share evidence.",
    )  # fmt: skip


def _groups(data: Data) -> list[Table]:
    groups = data.get("groups")
    if not groups:
        return []
    found = groups["all_right"]
    row = Row("all questions of a group right", (share(found), percent(found["chance"])),
              share=found)  # fmt: skip
    caption = (
        f"{groups['questions']} questions stand in {groups['groups']} groups of equal text over "
        "several pictures; in each, each option is right once."
    )
    columns = ("", "groups without images", "by chance %")
    return [Table("groups", "Counterfactual groups", columns, (row,), caption)]


def _transfer(data: Data) -> list[Table]:
    transfer = data.get("transfer")
    if not transfer:
        return []
    rows = [
        Row(_label(row), (share(part), leak(part), p_words(part)), share=part,
            total=row.total)
        for row, part in _rows(transfer, transfer["by_dimension"])
    ]  # fmt: skip
    caption = f"All probes combined, fitted on {transfer['trained_questions']} questions of it."
    return [
        Table("transfer", f"Learned on another split: {transfer['trained_on']}",
              ("", "right without images", "leak", "p"), tuple(rows), caption)
    ]  # fmt: skip


def _cues(data: Data) -> list[Table]:
    cues = data["shortcuts"]["cues"]
    strongest: dict[tuple[str, str | None], Data] = {}  # of rules that are one in two spellings
    for cue in cues:
        strongest.setdefault((cue["about"].split(" (")[0], cue["dimension"]), cue)
    rows = [_cue(cue) for cue in list(strongest.values())[:_CUES]]
    columns = ("take …", "questions", "right", "this is", "q")
    title = "Ways to answer that need no training"
    more = max(0, len(strongest) - _CUES)
    return [Table("cues", title, columns, tuple(rows), more=more)] if rows else []


def _cue(cue: Data) -> Row:
    way = "right" if cue["direction"] == "right" else "wrong more often than by chance"
    cells = (_dimension(cue["dimension"]), share(cue), way, p_words(cue, "q_value"))
    return Row(cue["about"], cells, share=cue)


def _phrases(data: Data) -> list[Table]:
    rows = tuple(
        Row(phrase_words(p), (_dimension(p["dimension"]),
            f"{p['right']}/{p['questions']} = {percent(p['rate'])} % {span(p['ci'])}",
            percent(p["expected_rate"]), f"{p['slides']}",
            "points to the right option" if p["direction"] == "right" else "points away"))
        for p in data["shortcuts"]["phrases"][:_PHRASES]
    )  # fmt: skip
    columns = ("phrase", "questions", "right option has it", "by chance %", "slides", "it")
    caption = (
        "Counted are questions where some options have the phrase and others do not. By chance: "
        "one in K, or the base rate of a label."
    )
    more = max(0, len(data["shortcuts"]["phrases"]) - _PHRASES)
    title = "Phrases that give options away"
    return [Table("phrases", title, columns, rows, caption, more)] if rows else []


def phrase_words(phrase: Data) -> str:
    """`“phrase”`, or `“label” where “phrase” is asked about`."""
    asked = phrase["asked"]
    return f"“{phrase['phrase']}”" + (f" where the question says “{asked}”" if asked else "")


def _position(data: Data) -> Table:
    position = data["position"]
    rows = []
    for row, part in _rows(position, position["by_dimension"]):
        skewed = " skewed" if part["p_adjusted"] <= position["level"] else ""
        counts = " / ".join(str(count) for count in part["counts"])
        cells = (counts, f"{part['p_adjusted']:.3f}{skewed}")
        rows.append(Row(_label(row), cells, total=row.total))
    caption = "Right options by place, first to last."
    if position.get("fixed_order"):
        caption += f" {position['fixed_order']} questions whose options stand in one fixed order "
        caption += "are left out: there a commoner label is no error of position."
    columns = ("questions", "counts", "p (corrected)")
    title = "Where the right option stands"
    return Table("position", title, columns, tuple(rows), caption)


def _blind(data: Data) -> list[Table]:
    blind = data.get("blind")
    if not blind:
        return []
    rows = [
        Row(row["model"], (f"{row['mode']}, {row['condition']}", share(row),
            f"{row['answered']}/{row['n']}", p_words(row, "p_above"), _call(row["call"])),
            share=row)
        for row in blind["results"]
    ]  # fmt: skip
    made = [
        Table("blind", "Language models that saw no images",
              ("model", "asked", "right", "gave a letter", "p above", "against guessing"),
              tuple(rows), "The target is guessing, not 0: who is right less often gives a "
              "shortcut as well (avoid what it picks).")
    ]  # fmt: skip
    against = [
        Row(f"{row['mode']}: {row['model']}", tuple(
            "–" if row["against_probe"][key] is None else share(row["against_probe"][key])
            for key in ("beyond_probe", "beyond_model")))
        for row in blind["results"] if row.get("against_probe") and row["condition"] == "no-images"
    ]  # fmt: skip
    if against:
        made.append(
            Table("knowledge", "Knowledge and shortcut apart",
                  ("asked without images", "model, where probes fail",
                   "probes, where model fails"), tuple(against),
                  "The probes are all probes combined. What the model has beyond them is "
                  "knowledge, or a shortcut that no probe has.")
        )  # fmt: skip
    wrong = [
        Row(row["model"], (share(row), percent(row["chance"]), p_words(row, "p_above")), share=row)
        for row in blind["elimination"]
    ]
    if wrong:
        columns = ("model", "a wrong option named", "by chance %", "p above")
        made.append(Table("elimination", "Asked which option is surely wrong", columns,
                          tuple(wrong)))  # fmt: skip
    pairs = [
        Row(f"{pair['first']} and {pair['second']}",
            (fraction(pair["agree"], pair["n"]), percent(pair["expected"]),
             "–" if pair["kappa"] is None else f"{pair['kappa']:.2f}"))
        for pair in blind["agreement"]
    ]  # fmt: skip
    if pairs:
        caption = (
            f"All are right in {blind['all_right']} questions, none in {blind['none_right']}. "
            "Kappa is 0 for agreement by chance and 1 for the same picks throughout."
        )
        columns = ("models", "same pick", "by chance %", "kappa")
        made.append(Table("agreement", "How far they agree", columns, tuple(pairs), caption))
    return made


def _call(call: str) -> str:
    return call if call == "not shown" else f"{call} chance"


def _visual(data: Data) -> list[Table]:
    made = []
    for model in (data.get("visual") or {}).get("models", ()):
        rows = tuple(
            Row(gap["condition"], (
                f"{gap['overall']['first']}/{gap['overall']['n']}",
                f"{gap['overall']['second']}/{gap['overall']['n']}", _loss(gap["overall"]),
                p_text(gap["overall"]["permutation"], 0.0),
                "; ".join(f"{row['name']} {_loss(row)}" for row in gap["rows"])), gap["meaning"])
            for gap in model["gaps"]
        )  # fmt: skip
        caption = f"With everything shown: {share(model['full'])}. {model['answer']}"
        if model["not_applicable"]:
            caption += f" Not applicable here: {', '.join(model['not_applicable'])}."
        columns = ("condition", "full", "under it", "loss, points", "p", "by dimension")
        title = f"What {model['model']} does with the images"
        made.append(Table("visual", title, columns, rows, caption))
    return made


def _loss(row: Data) -> str:
    return f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"


def _repair(data: Data) -> list[Table]:
    repair = data.get("repair")
    if not repair:
        return []
    rows = tuple(
        Row(check["name"], (share(check), percent(check["chance"])), check["about"], check)
        for check in repair["checks"]
    )
    title = repair_title(repair)
    columns = ("reader", "right without images", "chance %")
    return [Table("repair", title, columns, rows, repair_words(repair))]


def repair_title(repair: Data) -> str:
    if repair["method"] == "prune":
        return "What pruning would leave"
    return f"Option blocks: {repair['status']}"


def repair_words(repair: Data) -> str:
    kept = ""
    if repair["files"]:
        kept = f" {repair['kept']:,} of {repair['questions']:,} questions are kept: "
        kept += f"{', '.join(repair['files'])}."
    return " ".join([repair["statement"] + kept, *repair["lines"]])


def next_steps(data: Data, asked: str = "FILE", folder: str = "") -> list[tuple[str, str]]:
    """What to do next, each with the command or file that does it ("" for none).

    `asked` is what was audited, as one types it; `folder` goes before the names of files.
    """
    steps: list[tuple[str, str]] = []
    repair, blind, known = data.get("repair"), data.get("blind"), _by_knowledge_alone(data)
    if known:
        steps.append(("Rewrite what a model answers without the images, so that they decide; ids:",
                      f"blind.all_right_ids in {folder}audit.json"))  # fmt: skip
    if any(phrase["asked"] for phrase in data["shortcuts"]["phrases"]):
        text = "Ask each wording about places where the other labels are right, too."
        steps.append((text, ""))
    elif data["verdict"] == "leaky" and not repair and not known:
        text = "Make option blocks, which no reader of the text can answer, and a worksheet:"
        steps.append((text, f"scalevqa audit {asked} --repair blocks"))
    if repair and repair["files"]:
        steps.append(
            ("Have an expert confirm each borrowed option:", f"{folder}repair/worksheet.html")
        )
    hard = any(row["credit"] <= 0.5 for row in data["questions"])
    if hard and data["verdict"] in ("leaky", "measurable", "imbalanced") and not known:
        steps.append(("Report results on the questions that text does not answer, too; their ids:",
                      f"{folder}hard.txt"))  # fmt: skip
    if not blind:
        steps.append(("Ask language models without images, which know more than a probe can learn:",
                      f"scalevqa audit {asked} --adversary ENGINE/MODEL"))  # fmt: skip
    steps.append(("Say it in the dataset card:", f"{folder}datasheet.md"))
    return steps


def sorted_findings(data: Data) -> Sequence[Data]:
    return sorted(data["findings"], key=lambda finding: SEVERITY_ORDER[finding["severity"]])
