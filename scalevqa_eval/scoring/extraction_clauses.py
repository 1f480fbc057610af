"""What a clause says of the option that it names, once a hole stands for each option.

All patterns have bounded repeats, so that reading stays linear on any reply.
"""

from __future__ import annotations

import re

# Stands in a clause for each mention; the prose itself never holds it.
HOLE = "\ue000"

NO = r"(?:no|not|never|cannot|neither|nor|without|hardly|scarcely|nothing|none)"
REJECTS = re.compile(
    rf"(?<![a-z])(?:{NO}|in(?:correct|consistent|compatible|accurate|appropriate)|wrong|false|un\w+"
    r"|implausible|less|least|exclu\w+|rul(?:e|es|ed|ing) out|eliminat\w+|reject\w+|dismiss\w*"
    r"|discard\w*|lack\w*|absent|absence|fails?|against|distractor|contradict\w*|argu\w+ against"
    r"|mistak\w+|misses|weak\w*|too|contrast\w*|unlike|rather than|instead of|requires?"
    r"|needs?|doubt\w*|disagree\w*|falls|(?:is|are|goes) out"
    rf"|(?:so|as|nor|neither) (?:is|are|was|were|does|do) {HOLE})(?![a-z])"
    r"|n['’]t(?![a-z])|[❌✗✘×✖不非没無无]|排除|除外",
    re.IGNORECASE,
)
HEDGES = re.compile(
    r"(?<![a-z])(?:could|might|may|can|if|whether|unless|would (?:have|need|show|be expected)|or"
    r"|either|versus|vs|perhaps|maybe|possibl[ey]|plausible|possibility|at first|initially"
    r"|tempt\w+|consider\w*|suppos\w+|assum\w+|typical(?:ly)?|usually|often|generally|classically"
    r"|normally|sometimes|candidate|differential|compare[sd]?|mentions?|describes? (?:an?|the)"
    r"|says|states|claims|suggested by|partly|partially|also|both|should (?:show|have|be seen)"
    r"|(?:best|better|clearly|well) (?:seen|appreciated|visible|shown|demonstrated)|before|until"
    r"|anything but|other than|one of|which of|asks?|second|another|other|alternative|when"
    r"|where|which option)(?![a-z])"
    rf"|\?|\w{{4,}}['’]s (?:answer|choice|opinion|pick)|或|(?<!最)可能|{HOLE} ?(?:to|through"
    rf"|[-–~]) ?{HOLE}",
    re.IGNORECASE,
)
MOST = (
    r"(?:most|more|best|better|closest|closer|highly|entirely|fully|clearly|strongly"
    r"|perfectly|well|nicely)"
)
PREDICATE = (
    r"(?:fit(?:s|ting)?|match(?:es|ing)?|correspond(?:s|ing)?(?: to)?|aligns?(?: with)?"
    r"|agrees? with|supports?|support for|supported|favou?rs?|favou?red|points? (?:to|towards?)"
    r"|consistent|compatible|in keeping|in line|diagnostic|characteristic)"
)
RIGHT = (
    r"(?:correct|right|true|accurate|best|better|strongest|likeliest|closest|preferred|answer"
    rf"|choice|pick|winner|{MOST} \w+(?:ly)?|(?:\w+ly )?(?:supported|favou?red|confirmed"
    rf"|indicated|preferred|chosen"
    r"|selected))"
)
ADVERBS = (
    r"(?:\s?(?:[a-z]+ly|the|an?|our|my|thus|hence|therefore|indeed|then|here|now|most)\b){0,4}"
)
OPENS = rf"[\s\"'“‘:,]{{0,3}}(?:(?:the|an?|most likely|likely|probably)\s){{0,2}}{HOLE}"
# "C is the better fit", "C matches", "C it is": the mention first.
SUBJECT = re.compile(
    rf"(?<![a-z])only {HOLE}\s(?:is|fits|remains|matches|explains|accounts|shows|has)(?![a-z])"
    rf"|{HOLE}[\"'”’]?,?(?:\s(?:is|seems|appears|looks|remains|stands out|comes out|must be"
    rf"|should be|would be|to be|as)(?: to be| as)?{ADVERBS}\s{RIGHT}"
    rf"|\s(?:\w+ly\s|best\s|most\s){{0,2}}{PREDICATE}|\s(?:it is|is it|wins|prevails|alone)"
    r"|\s(?:explains|accounts for|captures)|\s(?:holds|applies|survives|(?:ranks?|comes) first)"
    r"|\s(?:is|was) (?:what|the one|how)|\s(?:provides|gives|offers|makes|has|represents"
    r"|captures|reflects|describes|explains)"
    rf"(?: \w+){{0,2}} {MOST})(?![a-z])",
    re.IGNORECASE,
)
# "consistent with C", "the diagnosis is most likely C", "I would go for C": the mention last.
OBJECT = re.compile(
    rf"(?:(?:是|为|為|符合|考虑|诊断|提示|显示|支持|选择?|而)|(?<![a-z])(?:(?:{PREDICATE}"
    rf"|described|classified|caused|produced|explained|characteri[sz]ed"
    r"|categori[sz]ed|answered|identified|labell?ed|graded|captured)(?: \w+ly)?"
    r"(?: with| to| as| by| towards?| of)?|diagnos(?:is|e)(?: of| as)?|conclude(?: that)?"
    r"|(?:go|going|went|opt|opting|settle|settling|vote|voting|plump) (?:for|on|with)|choos\w+"
    r"|pick\w*|select\w*|answer|conclusion|impression|interpretation|assessment|dx|verdict"
    r"|leav(?:es|ing)(?: \w+){0,2}|left with|makes?|making"
    r"|(?:is|are|be|was|remains|being|must be|represents?|indicates?|confirms?|shows?|suggests?"
    rf"|implies|mean(?:s|ing)|looks? like|looking at|resembles?|consists? (?:\w+ly )?of"
    rf"|balance to|goes? to|rank\w*|put|(?:is|are|was) th(?:at|ose) of|down to"
    rf"|lands? on|chang\w+ (?:\w+ ){{1,2}}to|equals|gives|['’]s){ADVERBS}(?: in)?))"
    rf"{OPENS}",
    re.IGNORECASE,
)
# Nouns that make "the ... is C" a statement of the answer.
SUMMING = re.compile(
    r"(?<![a-z])(?:so|thus|therefore|hence|consequently|accordingly|overall|ultimately|finally"
    r"|in (?:conclusion|summary|short|sum)|to (?:conclude|sum up|summari[sz]e)|conclusion"
    r"|altogether|all in all|on balance|taken together|taking|given|based on|actually|wait"
    r"|correction|looking again|on reflection|after|with (?:this|that|these|all)|best|most|only"
    r"|i|we|diagnosis|answer|choice|must|definitely|clearly|leav\w+|final|this|these|it"
    r"|image|images|findings?|features?|impression|verdict|result|makes?|making|consistent"
    r"|main|chief|predominant|dominant|principal|key|primary|grade[sd]?|marker|pattern"
    r"|tumou?r|lesion|structure)(?![a-z])",
    re.IGNORECASE,
)
MARKED_RIGHT = re.compile("[✅✓✔☑]")
# After others were set aside: "... : D", "..., so A", "... but the third option".
REMAINS = re.compile(
    rf"\A(?:\s?[:—–-]|\W{{0,3}}(?:so|thus|hence|therefore|then|leaving|but|而是?))[\s,:]{{0,2}}"
    rf"(?:(?:it is|it['’]s|only|just|the answer|an?|the|rather|is)\s){{0,3}}{HOLE}\W{{0,4}}\Z",
    re.IGNORECASE,
)
THE_OTHER_IS = re.compile(
    rf"\A\W{{0,4}}(?:only |but )?{HOLE}(?: (?:is|does|fits|will do)(?: it| so)?)?[\s.!]{{0,4}}\Z",
    re.I,
)
LIKELY_TEXT = re.compile(
    r"\A\W{0,4}(?:\w+ly,? )?(?:most likely|most consistent|best fit|most probably|probably"
    r"|likely|presumably|definitely"
    rf"|clearly|favou?r|suggests?|consistent with|最可能"
    r"|(?:final |overall )?(?:impression|interpretation|assessment|diagnosis|dx|verdict"
    rf"|conclusion)s?\s?[:–—-])(?: an?| the)?[\s:]{{0,2}}{HOLE}\W{{0,4}}\Z",
    re.IGNORECASE,
)
# "Without question, C.": some words and one option.
ADVERBIAL = re.compile(rf"\A[^{HOLE}{{}}<>='\"]{{3,120}}[,–—]\s?{HOLE}\W{{0,4}}\Z")
NO_QUESTION = re.compile(
    r"(?:no|without(?: a| any)?|beyond(?: any| a)?) (?:\w+ )?(?:question|doubt|hesitation)", re.I
)
# "It decreases.": an option that is a verb.
VERB_TEXT = re.compile(rf"\A\W{{0,3}}(?:it|this|the (?:\w+ ){{0,3}}\w+) {HOLE}", re.IGNORECASE)
ELLIPSIS = re.compile(
    r"\A\W{0,4}(?:(?:but|and|oh|hm+|ok(?:ay)?|well|no|wait|actually|correction|sorry|looking again"
    r"|on (?:second thoughts?|reflection)|(?:after |upon |on )?re-?\w+ing(?: \w+){0,3}|let me \w+"
    r"|so|thus|therefore|hence|overall|then|i (?:mean|meant)|it['’]?s|it is|make (?:that|it)"
    r"|must be|should be|in (?:conclusion|summary|short)|to conclude|final(?:ly)?|conclusion"
    rf"|by elimination|ultimately)\W{{1,4}}){{1,6}}(?:it['’]?s |it is |the )?{HOLE}"
    r"(?: then| it is| instead| after all| is it)?\W{0,4}\Z",
    re.IGNORECASE,
)
# "I would put my money on C", "C is the one I endorse".
FIRST_PERSON = re.compile(
    r"(?<![a-z])(?:i|we|i['’](?:d|m|ll|ve)|we['’](?:d|ll|ve|re)|my|our)(?![a-z])", re.I
)
# What one does with an option without choosing it.
LOOKS_AT = re.compile(
    r"(?<![a-z])(?:see|saw|look\w*|read\w*|describ\w+|discuss\w*|examin\w+|review\w*|start\w*"
    r"|begin\w*|check\w*|explain\w*|turn\w*|ask\w*|need\w*|want\w*|recall\w*|rememb\w+|know"
    r"|wonder\w*|question|understand|first|like to|mention\w*|stain\w*|marked|labell?ed|let|please"
    r"|compar\w+|find|found|observ\w+|notic\w+|note[sd]?|return\w*|move\w*|unsure"
    r"|uncertain)(?![a-z])",
    re.IGNORECASE,
)
# What another option is set against: "C rather than A", "C, unlike A or B".
AGAINST = re.compile(
    rf",?\s(?:rather than|instead of|over|and not|but not|not|unlike|as opposed to|in contrast to"
    rf"|compared (?:to|with)|whereas|excluding)(?: the| with| to| for)?\s[\"'“]?{HOLE}"
    rf"(?:[\"'”]?(?:, | or | and | nor |, or |, and ){HOLE}){{0,5}}",
    re.IGNORECASE,
)
BETWEEN = re.compile(
    rf"(?:between|of|among|comparing) {HOLE}(?:, | and | or |, and ){HOLE}"
    rf"(?:(?:, | and |, and ){HOLE}){{0,4}}",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"”'’)\]]|\Z)|。|\n|;")
SEVERAL_HOLES = rf"{HOLE}(?:(?:, | and | or |, and |, or ){HOLE}){{0,5}}"
VERB_NEXT = (
    r" (?:is|are|do|does|was|were|has|have|can|cannot|fits?|match(?:es)?|looks?|seems?|fails?"
    r"|shows?|lacks?|would|remains?|holds?|falls?|goes)"
)
CLAUSE = re.compile(
    r"(?:[,—–:]|\s-)\s?(?:and |but )?(?=(?:but|however|so|thus|therefore|hence|whereas|while"
    r"|although"
    r"|though|making|leaving|which|since|because|as|for|with|given|the|this|i|we|it|yet|unlike"
    rf"|{SEVERAL_HOLES}{VERB_NEXT})(?![a-z]))|[—–:]\s?(?={HOLE}\W{{0,4}}\Z)"
    r"|\s(?:but|however|so|whereas|while|although|though|because|since|yet)(?=\s)"
    r"|\sand(?=\s(?:accept|choose|select|pick|keep|go|the|my|so|thus|therefore|hence|i|we|it|this"
    rf")(?![a-z]))|(?<!{HOLE})\sand(?=\s{SEVERAL_HOLES}{VERB_NEXT}(?![a-z]))|,(?=而)",
    re.IGNORECASE,
)
# Ends what was only supposed in the clauses before.
TURNS = re.compile(
    r"\W{0,4}(?:and )?(?:but|however|yet|so|therefore|thus|hence|since)(?![a-z])", re.I
)
LABEL_LINE = re.compile(rf"\A[\s>•\-–*\d.)]{{0,6}}{HOLE}\s?(?:[.:)–—→=-]|\()")
