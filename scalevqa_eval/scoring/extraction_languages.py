"""Words around a letter that make it an answer, in languages other than English."""

from __future__ import annotations

import re

from scalevqa_eval.scoring.extraction_patterns import CAPITAL, CLOSE, LETTER, OPEN

# --- Chinese, Japanese, Korean -------------------------------------------------------------------
ASIAN = re.compile(
    r"(?:(?:答案|正解|正答|解答|回答|答え|こたえ|結論|结论"
    r"|정답|답변|대답|답(?=[은:이 ])|選択肢?(?=[は:])|선택(?=[은은:])"
    r"|(?:正确|正確|最佳|最终|最終|最合适的?|最适合的?|正しい|应选|應選|所选|我的)(?:的)?(?:选项"
    r"|選項|选择|選擇|選択肢|选|選)|(?:正确|正確)的?(?=[是为為])"
    r"|选项(?=[:为是])|選項(?=[:為是])|选择(?=[:为是])|判断(?=[:为是]))(?P<gap>[^\n。;A-Za-z]{0,24}?)"
    r"|(?:^|[。,;:!\s]|所以|因此|故|应该?|應該?|综上(?:所述)?|綜上(?:所述)?|本题|此题|本題|我"
    r"|我会|我會|则|則|于是|可以?|建议"
    r"|最终|最終|只能|只有|还是|還是|から|より|従って)\s?(?:正确|应当?)?(?:选择?|選擇?"
    r"|答)(?:的是)?(?P<gap2>[选選][项項])?"
    r"|(?:不是[^,。\n]{1,20},\s?(?:而|应该?)?是|[这這此](?:应该?|應該?)?[是为為]|[该該就只]选"
    r"|因此|所以|故|而是|应该?[是为]|應該?[是為]|应[选當当]|倾向于?|傾向於?|就是|ではなく[,、]?|じゃなく(?:て)?[,、]?|아니라|따라서"
    r"|그러므로|よって|したがって|従って|ゆえに)"
    r"(?:为|是|は|選択肢|选项|選項|선택지|답은|보기)?)"
    rf"\s?{OPEN}(?:选项|選項|項|项|選択肢|선택지|보기|option )?{OPEN}{LETTER}",
    re.IGNORECASE,
)
ASIAN_VERDICTS = re.compile(
    rf"(?P<before>[不非没錯错]?){LETTER}{CLOSE}\s?(?:选项|選項|项|項|番|번|选|選|说法)?\s?"
    r"(?:是|为|為|が|は|を|이|가|은|는|을|를)?\s?(?:最も?|唯一|最为|가장|最)?(?:的)?\s?"
    r"(?:正确|正確|正解|正しい|適切|适合|合适|合適|最佳|最符合|符合题意|符合|选择します|選択します|選びます|選びました"
    r"|정답|맞습니다|맞다|옳|적절|선택합니다|선택하|고르겠|对|對|正答)",
    re.IGNORECASE,
)
ASIAN_NEGATION = re.compile(
    r"不|非|没|沒|错|誤|无法|無法|不能|未|ない|아니|않|없|是否|排除|解析|分析|选项:|以外"
)

# --- other languages -----------------------------------------------------------------------------
_FOREIGN_NOUN = (
    r"(?:respuesta|resposta|réponse|reponse|antwort|risposta|antwoord|odpowied[źz]|ответ(?:ом)?"
    r"|вариант|відповідь|cevap|cevab[ıi]|yanıt|đáp án|câu trả lời|jawaban(?:nya)?|الإجابة"
    r"|الاجابة|الجواب|إجابة"
    r"|उत्तर|जवाब|คำตอบ[\u0e00-\u0e7f]{0,20}|svaret|svar|απάντηση|odpověď|odpoveď|răspunsul"
    r"|răspuns|válasz|vastaus|תשובה"
    r"|opción|opção|opzione|alternativa|lösung|wahl|scelta|elección|escolha|choix|option"
    r"|alternative"
    r"|پاسخ|جواب|seçenek|pilihan|lựa chọn|correcta|correta|corretta|richtig|korrekt|soluzione"
    r"|solución|solução)"
)
FOREIGN = re.compile(
    rf"(?<!\w)(?P<noun>{_FOREIGN_NOUN})(?!\w)(?P<gap>[^.\n;!?]{{0,50}}?)"
    rf"(?P<link>[\s:=→\-–—'’(\[\"“«]{{1,6}}){CAPITAL}",
    re.IGNORECASE,
)
FOREIGN_VERBS = re.compile(
    r"(?<!\w)(?:elijo|escojo|selecciono|eligo|escolho|seleciono|opto por|scelgo|(?:je )?choisis"
    r"|wähle"
    r"|выбираю|обираю|seçiyorum|sondern|sino|bensì|cách chọn|chọn|memilih|wybieram|kies|väljer"
    r"|donc"
    r"|portanto|logo|por (?:lo )?tanto|quindi|also|daher|somit|deshalb|ainsi|alors|mais|поэтому"
    r"|значит|а)"
    rf"(?!\w)(?P<gap>(?:(?-i:[^.\n;!?A-Z])|Option|Antwort|Opção|Opción|Opzione|Variante"
    rf"|Buchstaben?){{0,25}}?)(?P<link>[\s:=→'’(\[\"“«]{{1,6}}){CAPITAL}",
    re.IGNORECASE,
)
FOREIGN_NEGATION = re.compile(
    r"(?<!\w)(?:no|não|nicht|kein\w*|non|pas|не|нет|nie|niet|değil|không|bukan|ليس\w*|नहीं|ไม่"
    r"|inte|δεν"
    r"|ni|ou|oder|o|entre|zwischen|si|wenn|falls|ob|или|либо)(?!\w)|n['’]est pas",
    re.IGNORECASE,
)

FOREIGN_VERDICTS = re.compile(
    r"(?<![\w])(?P<letter>(?-i:[A-Z]))[)\"”’]{0,2}\s(?:ist|es|est|é|è|jest|to|är|является|верн"
    r"|—)\s?"
    r"(?:die |la |a |der |das |il |o |el )?(?:respuesta |resposta |réponse |risposta |opción "
    r"|opção )?"
    r"(?:richtig\w*|korrekt\w*|correct[aoe]\w*|corret[ao]|corrett[ao]|juste|bonne|giust[ao]"
    r"|cert[ao]"
    r"|poprawn\w+|prawidłow\w+|верн\w+|правильн\w+|rätt|exact[ae])(?!\w)",
    re.IGNORECASE,
)

FOREIGN_NOT_BUT = re.compile(
    r"(?:no es|não é|nicht|n['’]est pas|non è|не)\s(?:la |a |die )?[(\"']?[A-Z][)\"']?,?\s"
    r"(?:es|é|sondern|c['’]est|è|mais|sino|mas|bensì|а)\s(?:la |a |die )?(?P<open>[(\"']?)"
    rf"{CAPITAL}",
    re.IGNORECASE,
)
GERMAN_VERB = re.compile(
    r"(?:ich (?:würde|werde)|würde ich)\s(?:(?:die |option |antwort "
    r"|für ){0,3})[(\"']?(?P<letter>[A-Z])"
    r"(?=[)\"']?\s(?:wählen|nehmen|sagen|entscheiden|antworten))",
    re.IGNORECASE,
)
