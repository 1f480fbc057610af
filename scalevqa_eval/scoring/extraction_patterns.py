"""Words around a letter that make it an answer, in the languages that models reply in.

All patterns have bounded repeats, so that reading stays linear on any reply.
"""

from __future__ import annotations

import re

_LATIN = "A-Za-z0-9_À-ɏ"
# A letter that stands alone: no part of a word, a unit, a range or a possessive.
LETTER = (
    rf"(?<![{_LATIN}])(?P<letter>[A-Za-z])"
    rf"(?![{_LATIN}]|['’](?!d[iı]r)[A-Za-z]|[&+%°^/]|-[a-z0-9]|[-–][A-Za-z](?![A-Za-z]))"
)
CAPITAL = LETTER.replace("[A-Za-z])", "(?-i:[A-Z]))", 1)
OPEN = r"[\s\"'“”‘’(\[{<《【「『|:,]{0,6}"
CLOSE = r"[\"'“”‘’)\]}>》】」』]{0,5}"

_ADJECTIVE = (
    r"(?:final|correct|right|best|likeliest|most [a-z]{4,14}|chosen|selected|my|our|appropriate"
    r"|suitable|accurate|proper|preferred|ultimate|predicted|probable|valid|true|single|only|top"
    r"|overall|obvious|closest|intended|expected|optimal|strongest|best[- ](?:supported|fitting"
    r"|matching|fit|match))"
)
_NOUN = (
    r"(?:answer|ans(?:\.(?=\s?[:(\[]))?|choice|option|selection|pick|response|letter"
    r"|solution|conclusion|verdict"
    r"|decision|diagnosis|prediction|guess|vote|alternative|statement|interpretation|match"
    r"|one|description|explanation|fit|classification"
    r"|category|label)"
)
_FILLER = (
    r"(?:(?:the|option|choice|letter|answer|alternative|statement|therefore|thus|hence|clearly"
    r"|definitely|probably|likely|most likely|indeed|still|now|actually|simply|just|instead|again"
    r"|in fact|indeed|really|only|i think|i believe|i'd say|i would say|it's|it is|it must be"
    r"|that is|namely|rather|correct|best|final|labell?ed|marked|represented by"
    r"|best represented by"
    r"|given by|as follows|in my opinion|for|to be|to|with|is|be|must be|would be|should be)"
    r"(?![A-Za-z])[\s:,]{0,4}[\"'“‘(\[{]{0,3})"
)
_COPULA = (
    r"(?:\s?(?:is|are|was|(?:would |will )?ha(?:s|ve) to be|would be|should be|must be"
    r"|will be|appears to be|seems to be"
    r"|remains|corresponds to|lies with|points to|['’]s)(?![A-Za-z])"
    r"|\s?(?:=>|->|\.{2,3}|[:=\-–—→⇒➡⟶…\]】]))"
)

CUES = re.compile(
    rf"(?<![A-Za-z])(?P<adjective>(?:{_ADJECTIVE}\s){{1,4}})?(?P<noun>{_NOUN})(?![A-Za-z])"
    rf"(?P<gap>[^.\n;:!?]{{0,80}}?)(?P<copula>{_COPULA}|\n|\s?[(\[{{\"“]"
    rf"|\s(?=(?-i:[A-Z])[)\"”]?[.!]?\s?(?:\n|\Z)))"
    rf"{OPEN}{_FILLER}{{0,4}}{OPEN}{LETTER}",
    re.IGNORECASE,
)
# What the answer is, where it is no letter: the text of an option, or nothing at all.
NAMED = re.compile(
    rf"(?<![A-Za-z])(?P<adjective>(?:{_ADJECTIVE}\s){{1,4}})?(?P<noun>{_NOUN})(?![A-Za-z])"
    rf"(?P<gap>(?:\s(?:to|for|of|here|in)\s[^.\n;:!?]{{0,40}}?)?)(?P<copula>{_COPULA}|\n)"
    rf"[\s:\"'“‘(\[]{{0,6}}(?P<value>[^\n]{{1,600}})",
    re.IGNORECASE,
)
NO_ANSWER = re.compile(
    r"(?:none(?! other)|neither|either|between|both|all of|all the|all except|unclear|unknown"
    r"|undetermined|not (?:clear|determinable|possible|among|listed|available|given|provided|sure)"
    r"|cannot|can['’]?t|could not|ambiguous|n/?a\b|uncertain|indeterminate|null|not? answer"
    r"|unable|impossible|insufficient|inconclusive|undecided|i (?:can['’]?t|cannot|don['’]?t))",
    re.IGNORECASE,
)
BOXED = re.compile(
    r"(?:\\{1,2}f?"
    r"|(?<![A-Za-z]))box(?:ed)?\s?\{(?P<value>[^{}\n]{0,200}(?:\{[^{}\n]{0,200}\}[^{}\n]{0,50})?)\}"
)

_AUX = (
    r"(?:\s(?:would|will|shall|must|have to|have|am|do|should|can|therefore|thus|hence|so|now"
    r"|confidently|definitely|to|rather|personally|finally|ultimately|also|still|be|go ahead and"
    r"|say|that|had to|want to|conclude|believe|think|it['’]s|it is)){0,5}"
)
VERBS = re.compile(
    r"(?<![A-Za-z'’])(?P<subject>i|we|let['’]?s|let me|i['’]?(?:d|ll|m|ve)|we['’](?:d|ll|ve|re))"
    rf"(?![A-Za-z]){_AUX}\s(?P<verb>choos(?:e|ing)|chose|chosen|select(?:ed|ing)?|pick(?:ed|ing)?"
    r"|go(?:ing)? (?:with|for)|went (?:with|for)|opt(?:ed|ing)? for|answer|vot(?:e|ing)(?: for)?"
    r"|say"
    r"|settled? (?:on|for)|lean(?:ing)? (?:towards?|to)|favou?r|conclude|think|believe"
    r"|decided? (?:on|for)|submit|guess|prefer|mark|propose|recommend|stick(?:ing)? with"
    r"|it['’]s|it is)(?:\sthat)?"
    rf"{OPEN}{_FILLER}{{0,4}}{OPEN}{LETTER}",
    re.IGNORECASE,
)
CONCLUSIONS = re.compile(
    r"(?:^|[.!?;,:()\n—–-])\s{0,2}(?:and |but )?(?:so|therefore|thus|hence|consequently"
    r"|accordingly"
    r"|in conclusion|to conclude|in summary|overall|ultimately|finally|final|conclusion|ergo|∴"
    r"|=>|⇒|→"
    r"|->|definitely|probably|likely|most likely|clearly|certainly|obviously|by elimination"
    r"|by exclusion|wait|actually|correction|make that|scratch that|rather|sorry|no|i mean|yes"
    r"|correct|best|result|output|✅|✔|☑|👉|➡|🎯|selected|chosen|select|choose|choosing"
    r"|going with|pick|go with|mark"
    r"|if (?:i |we )?(?:am |are |were )?(?:forced|asked|pressed|pushed|had|have"
    r"|must)[^.,\n]{0,40})"
    r"(?![A-Za-z])[\s,:\-–—!.]{0,4}"
    rf"(?:(?:no|wait|actually|i mean|therefore"
    rf"|thus)[\s,:]{{1,3}}){{0,2}}{_FILLER}{{0,3}}{OPEN}{LETTER}",
    re.IGNORECASE,
)
# A remark that ends a line or a sentence of its own: what follows it is another matter.
REMARK = re.compile(
    r"(?:likely|correct|probably|definitely|clearly|certainly|obviously|yes|no|best)\s?[.\n]",
    re.IGNORECASE,
)
THIS_IS = re.compile(
    r"(?<![A-Za-z])(?:(?:it|this|that|which)(?:['’]?s|\s(?:is|must be|would be|should be"
    r"|has to be|points to|supports|indicates|suggests|corresponds to|matches|fits|favou?rs))"
    r"|(?:most|best) (?:consistent|compatible|aligned|in keeping) with|best match(?:es|ed by)"
    r"|(?:images?|findings?|features?|evidence|morphology|pattern|appearances?"
    r"|views?)(?: together| all)?"
    r"(?: best| most| clearly| strongly| closely)? ?(?:supports?|match(?:es)?|favou?rs?"
    r"|points? to|suggests?"
    r"|indicates?|fits?|corresponds? to|(?:is|are) (?:most |best )?consistent with)"
    r"|(?:classified|described|categori[sz]ed|characteri[sz]ed|explained|answered"
    r"|captured) (?:as|by)"
    r"|leaving(?: only)?(?: us with)?|leaves(?: only)?(?: us with)?|left with)"
    rf"(?![A-Za-z]){OPEN}{_FILLER}{{0,3}}{OPEN}{LETTER}",
    re.IGNORECASE,
)
NOT_BUT = re.compile(
    r"(?<![A-Za-z])(?:not|isn['’]t|instead of|rather than)\s(?:the )?(?:option |choice |answer )?"
    rf"[(\"'\[]{{0,2}}[A-Za-z]{CLOSE}(?:,? (?:or|nor|not) [(\"']?[A-Z][)\"']?){{0,4}}"
    r"[^.\n;]{0,80}?[,\s](?:but|it['’]s|it is)\s"
    rf"{_FILLER}{{0,3}}{OPEN}{LETTER}",
    re.IGNORECASE,
)
_FITTING = (
    r"(?:correct|right|best|answer|choice|true|accurate|winner|likeliest|selected|chosen|strongest"
    r"|most (?:likely|probable|appropriate|accurate|consistent|plausible|suitable|compatible"
    r"|fitting"
    r"|supported|correct|convincing|defensible))"
)
VERDICTS = re.compile(
    rf"{LETTER}{CLOSE}(?P<between>\s?\([^()\n]{{1,150}}\)|[.:,]\s[^.\n]{{1,200}}?"
    r"|\s?[\"“'][^\"”\n]{1,150}[\"”'])?,?"
    rf"(?:\s(?:is|seems|appears|looks|remains|would be|must be|should be)(?: to be)?"
    r"(?:\s(?:clearly|definitely|therefore|thus|indeed|likely|the|our|my|an?|single|only|overall"
    rf"|final|one)){{0,4}}\s(?:the )?{_FITTING}"
    r"|\s(?:best|most (?:closely|accurately)) (?:fits?|match(?:es)?|describes?|explains?|answers?"
    r"|represents?|reflects?|captures?|supports?|aligns?)"
    r"|\s(?:fits|matches|describes it|explains (?:it|this)) (?:best|most closely)|\swins"
    r"|\sit is(?=[.!]))"
    r"(?![A-Za-z])"
    r"(?P<after>[^.,;\n]{0,40})",
    re.IGNORECASE,
)
QUESTION_AND_ANSWER = re.compile(rf"(?:^|\n)A ?[:.] ?[(\"']?{LETTER}(?=[)\"'.]{{0,3}}\s?(?:\n|\Z))")
JUDGED = re.compile(
    rf"{LETTER}{CLOSE}(?:\s?[.:\-–—→=]\s?|(?<=\))\s|\s\()(?:(?:this is )?(?:correct|true|yes"
    rf"|right)(?![A-Za-z])|[✅✓✔☑])"
    r"(?! (?:that|but|in part|only|for|about))",
    re.IGNORECASE,
)
MARKED = re.compile(
    r"(?m)^[\s>•\-–\"'(\[]{0,5}(?:option "
    r"|choice )?(?P<letter>[A-Za-z])[)\].:\"' ]{1,4}[^\n]{0,300}?"
    r"(?:(?:[-–—:(→,.]|^.{0,14})\s?(?:this is )?(?:the )?(?:correct|true|yes|best)(?: answer"
    r"| option| choice| one)?"
    r"[)!.]{0,2}|[✅✓✔☑][^\n]{0,40}|(?:<-|<=|←)[^\n]{0,30})\s?$",
    re.IGNORECASE,
)

# --- what stands around --------------------------------------------------------------------------
NEGATION = re.compile(
    r"(?<![A-Za-z])(?:not|never|cannot|neither|nor|whether|unless|hardly|no longer|excluding?"
    r"|anything but|anyone but|other than|before|until"
    r"|except"
    r"|eliminat\w+|rul(?:e|es|ed|ing) out|wrong|incorrect|unlikely|least|false|no evidence|doubt"
    r"|would have(?! to)|depend(?:s|ing)?|tempted|at first|initially|suppose|assum(?:e|ing)"
    r"|could|might|may)(?![A-Za-z])"
    r"|n['’]t(?![A-Za-z])",
    re.IGNORECASE,
)
ELIMINATION = re.compile(r"by (?:elimination|exclusion)", re.IGNORECASE)
NO_DOUBT = re.compile(
    r"(?:no|without(?: a| any)?|beyond) doubt|not only|can(?:not|['’]t) go wrong", re.I
)
CONDITIONAL = re.compile(
    r"(?<![A-Za-z])(?:if|when|whether|suppose|were)(?![A-Za-z])", re.IGNORECASE
)
OTHERS = re.compile(
    r"(?:[a-z]{4,}(?<!question)(?<!image)['’]s|wrong|incorrect|other|another|initial|first"
    r"|previous|second[- ]best|next[- ]best|second"
    r"|third"
    r"|runner[- ]up|alternative|possible|plausible|potential|tempting|distractor|least [a-z]+"
    r"|unlikely"
    r"|student['’]?s?|their|original|earlier|former|worst|next|each|every|any|either|neither"
    r"|no|which|what|whose|excluded|rejected|eliminated|every other|weakest|close|closest second)"
    r"\s\Z",
    re.IGNORECASE,
)
CLAUSE_END = re.compile(
    r"[.!?;,:()\n。,;—–]|(?<![A-Za-z])(?:but|however|yet|so|therefore"
    r"|and(?= (?:the|that|my|so|thus|therefore|hence)(?![A-Za-z])))(?![A-Za-z])",
    re.IGNORECASE,
)
HYPOTHETICAL = re.compile(
    r"(?:(?<![A-Za-z])(?:if|unless|only when)|\A\s?(?:had|were))(?![A-Za-z])(?! (?:i|we|one"
    r"|you) (?:had|have|must|were)"
    r"|,? ?(?:forced|asked|pressed|required|pushed|i must|to choose))",
    re.IGNORECASE,
)
CORRECTION = re.compile(
    r"(?<![A-Za-z])(?:wait|actually|correction|on second thoughts?|reconsider\w*|let me re\w*"
    r"|i was wrong|mistaken?|scratch that|sorry|hmm+|no,|instead|upon re\w+|looking again|but then"
    r"|re-?examin\w+|re-?check\w*|re-?evaluat\w+|on reflection|revis\w+|change my)(?![A-Za-z])"
    r"|不对|不對|等等|等一下|更正|重新|いや|待って|訂正|아니|다시|espera|corrección|warte"
    r"|moment|attend"
    r"|en fait|подожди|нет,",
    re.IGNORECASE,
)
CONCLUDING = re.compile(
    r"(?<![A-Za-z])(?:therefore|thus|hence|so|overall|in conclusion|in summary|finally|ultimately"
    r"|conclusion|final|to conclude|consequently)(?![A-Za-z])|因此|所以|综上|故",
    re.IGNORECASE,
)
CONTRAST = re.compile(r"(?<![A-Za-z])(?:but|however|yet|nevertheless)(?![A-Za-z])", re.IGNORECASE)
NEGATED_AFTER = re.compile(
    r"\s?(?:では(?:な|あり)|じゃな|이 ?아|가 ?아|은 ?아|는 ?아|不|错|錯|誤|并非|有误|に誤|は誤"
    r"|(?:option |choice |answer )?(?:is|was|are|were|seems?|looks?|appears?|can|could|would"
    r"|should|must|has|does|do|did)"
    r"(?:n['’]t|\s?not|\s(?:also |clearly |definitely |likely |probably )?(?:be |been )?"
    r"(?:not|incorrect|wrong|unlikely|less|ruled|false|excluded|out|eliminated|rejected"
    r"|implausible"
    r"|inconsistent|incompatible|unsupported|tempting|a distractor|inaccurate"
    r"|contradicted))(?![A-Za-z])"
    r"|are (?:wrong|incorrect|out|excluded|ruled|eliminated|unlikely)"
    r"|,? ?(?:only )?if (?!i )|,? ?unless|\s(?:wrong|incorrect|eliminated|excluded|rejected"
    r"|out)(?![A-Za-z])"
    r"|,? ?(?:no es|n['’]est pas|ist nicht|não é|non è)|\s(?:ist|es|est|é) (?:falsch|incorrect"
    r"|faux|errad))",
    re.IGNORECASE,
)
SEVERAL = re.compile(
    r"\s?(?:[,/&;+|~>≻=≈]|或者?|和|及|与|與|跟|と|や|または|か|및|또는|와|과"
    r"|,? ?(?:and/or|and also|and|or|und|oder|y|o|et|ou|e|и|или|to|through|vs\.?|versus"
    r"|as well as|plus)(?![A-Za-z]))\s?"
    r"(?:(?:also|either|maybe|possibly|perhaps|then|option|choice|answer|the|选项|選項|選択肢|la"
    r"|die)"
    r"\s?){0,2}"
    r"[\"'“(\[]{0,2}(?P<second>[A-Za-z])(?![A-Za-z0-9'’])(?P<rest>[^\n]{0,24})",
    re.IGNORECASE,
)
SEVERAL_REST = re.compile(
    r"[\"'”)\]]{0,3}\s?(?:\Z|[.,;:!?)/|&>]|(?:are|both|equally|together|combined|or|and|could|seem"
    r"|would|might|may|fit|remain|as well|too|y|o|und|oder|et|ou)(?![A-Za-z]))|\s?[^\x00-\x7f]",
    re.IGNORECASE,
)
EPITHET = re.compile(
    r"\.\s?(?:coli|pylori|difficile|fumigatus|flavus|niger|albicans|perfringens|histolytica"
    r"|neoformans"
    r"|gattii|immitis|dermatitidis|capsulatum|cerevisiae|aureus|pneumoniae|tuberculosis|leprae"
    r"|avium"
    r"|israelii|burgdorferi|pallidum|trachomatis|gondii|cruzi|lamblia|duodenalis|vermicularis"
    r"|jejuni"
    r"|hominis|parvum|carinii|jirovecii|marneffei|donovani|solium|granulosus|mansoni|haematobium"
    r"|henselae|quintana|whipplei|acnes|cepacia|influenzae|elegans)(?![a-z])",
)
# Things that are named by a letter: "B cells", "T lymphocyte", "C-reactive".
NAMED_BY_LETTER = re.compile(
    r"[\s-](?:cells?|lymphocytes?|lymphoblast\w*|lineage|lymphoma|symptoms?|fib(?:er|re)s?"
    r"|antigen\w*"
    r"|bands?|waves?|zone|stain\w*|reactive|deficiency|virus|chain|chains|type"
    r"|protein)(?![A-Za-z])",
    re.IGNORECASE,
)
FOLLOWS = re.compile(
    r"(?:because|since|as|for|due|given|based|which|where|with|and|but|not|rather|over|instead"
    r"|in|on|from"
    r"|by|here|is|was|it|that|this|the|at|though|although|while|so|therefore|then|would|per"
    r"|considering"
    r"|owing|according|however|who|if|represents?|best|describes?|correctly|after|among|out|of"
    r"|porque|pues|ya|weil|da|denn|car|parce|puisque|perché|pois|omdat|bo|так|потому|karena|vì"
    r"|çünkü|dir|dır"
    r"|olur|adalah)(?![A-Za-z])",
    re.IGNORECASE,
)
REFUSAL = re.compile(
    r"(?:i['’]?m (?:really |very )?sorry|i apologi[sz]e|(?:i|we) (?:can(?:not|['’]t)|am unable"
    r"|['’]m unable|won['’]t"
    r"|am not able|['’]m not able|do not feel comfortable|must decline)|unable to (?:help|assist"
    r"|provide|determine|answer)"
    r"|as an ai|cannot (?:be determined|determine|assist|provide|answer)|can['’]t (?:help|assist"
    r"|provide|determine)"
    r"|not (?:able|qualified|possible) to|i don['’]t (?:see|have)|no image|抱歉|对不起|對不起"
    r"|无法|無法|不能提供"
    r"|申し訳|できません|죄송|할 수 없|lo siento|no puedo|désolé|je ne peux pas|es tut mir leid"
    r"|ich kann (?:nicht|keine)"
    r"|desculpe|não posso|mi dispiace|извините|не могу)",
    re.IGNORECASE,
)
