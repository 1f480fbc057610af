"""Replies of every kind about thyroid, kidney, bone and bladder; rows as in extraction_cases.py."""

from __future__ import annotations

from extraction_cases import Row, _rows

O1 = (
    "Papillary thyroid carcinoma",
    "Follicular adenoma",
    "Medullary carcinoma",
    "Hashimoto thyroiditis",
)
O2 = ("2", "5", "10", "More than 10")
O3 = ("Grade A", "Grade B", "Grade C")
O4 = ("Blood group B", "Blood group A", "Blood group O", "Blood group AB")
O5 = ("乳头状癌", "滤泡性腺瘤", "髓样癌", "桥本甲状腺炎")
O6 = ("ER positive", "HER2 positive", "Triple negative", "PR positive", "Ki-67 low")
O7 = ("Increases", "Decreases", "Stays the same")
O8 = ("Low-grade dysplasia", "High-grade dysplasia", "No dysplasia", "Indefinite for dysplasia")
O9 = ("Fig. A", "Fig. B", "Fig. C")
O10 = (
    "Chondrosarcoma",
    "Osteosarcoma",
    "Ewing sarcoma",
    "Giant cell tumour",
    "Enchondroma",
    "Osteoid osteoma",
)
O11 = (
    "The crypts branch at low power and the nuclei are pseudostratified at high power.",
    "The crypts are straight at low power and the nuclei are basal at high power.",
    "The crypts are lost at low power and the stroma is desmoplastic at high power.",
    "The crypts cannot be seen at any power.",
)
O12 = ("Yes", "No")
O13 = ("Glomerulosclerosis", "Crescent formation", "Tubular atrophy", "Interstitial inflammation")
O14 = ("B and C", "A and C", "A and D", "All of A, B and C")
O15 = ("Yes", "No", "Uncertain")
O16 = ("1 o'clock", "3 o'clock", "6 o'clock", "9 o'clock")
O17 = ("Lymph node", "Tonsil", "Thymus", "Spleen", "Bone marrow")
O18 = ("肾小球硬化", "新月体形成", "肾小管萎缩", "间质炎症")
O19 = ("Metastatic carcinoma", "Carcinoma", "Metastatic melanoma", "Melanoma")
O20 = (
    "IgA nephropathy",
    "Lupus nephritis",
    "Minimal change disease",
    "Type I membranoproliferative glomerulonephritis",
)
O21 = ("Acute", "Chronic")
O22 = ("HPV 16", "HPV 18", "EBV", "CMV", "HSV", "HHV-8")
O23 = ("Stain A", "Stain B")
O24 = (
    "The blue band in the overview is smooth muscle",
    "The blue band in the overview is basal epithelium",
    "The blue band in the overview is mucin",
    "None of these statements is correct",
)
O25 = ("Koilocytosis", "Keratin pearl", "Amyloid deposit", "Psammoma body")
O26 = ("Present", "Absent")
O27 = ("空泡细胞", "角化珠", "淀粉样沉积", "砂粒体")
O28 = (
    "Urothelial carcinoma",
    "Prostatic adenocarcinoma",
    "Renal cell carcinoma",
    "Cystitis glandularis",
    "Inverted papilloma",
)
O29 = (
    "The mid-power view confirms invasion",
    "The mid-power view rules out invasion",
    "The mid-power view is not informative",
)
O30 = ("CD4", "CD8", "CD45", "CD56")

CASES: list[Row] = [
    *_rows(
        "tagged",
        ("Final: <answer>d</answer>", "D"),
        ("<answer>Medullary carcinoma</answer>", "C"),
        ('<answer>"B"</answer>', "B"),
        ("<final_answer>D</final_answer>", "D"),
        ("Format: <answer>A</answer>\n\nMy output: <answer>B</answer>", "B"),
        ("<answer>A B</answer>", None),
        ("<answer>I am not sure, maybe A or C</answer>", None),
        ("<answer>The grooves favour A</answer>", "A"),
        options=O1,
    ),
    *_rows(
        "tagged",
        ("<answer>10</answer>", "C"),
        options=O2,
    ),
    *_rows(
        "tagged",
        ("<answer>Grade B</answer>", "B"),
        options=O3,
    ),
    *_rows(
        "tagged",
        ("<answer>A. Blood group B</answer>", "A"),
        options=O4,
    ),
    *_rows(
        "bracketed",
        ("Response: (D) Hashimoto thyroiditis", "D"),
        ("I'd rank (C) first.", "C"),
        ("The right one is (B), the capsule being intact.", "B"),
        ("(A) through (D) were reviewed.", None),
        ("The arrows (A, B) mark follicles.", None),
        ("I am choosing (D) because germinal centres are visible.", "D"),
        options=O1,
    ),
    *_rows(
        "bracketed",
        ("（C）髓样癌", "C"),
        options=O5,
    ),
    *_rows(
        "bold",
        ("**C** – amyloid stroma.", "C"),
        ("I would answer **B**, since the capsule is intact.", "B"),
        ("Therefore: **B**", "B"),
        ("**Most likely answer:** C", "C"),
        ("**A:** grooves\n**B:** capsule\n**C:** amyloid\n**D:** lymphocytes", None),
        ("__Answer__: __A__", "A"),
        ("**Answer:** *cannot be determined*", None),
        options=O1,
    ),
    *_rows(
        "boxed",
        ("\\[\\boxed{A}\\]", "A"),
        ("\\boxed{\\text{Follicular adenoma}}", "B"),
        ("boxed{D}", "D"),
        ("\\boxed{42}", None),
        ("\\boxed{\\mathbf{(B)}}", "B"),
        ("\\boxed{D}\n\nA note on B: the capsule is incomplete.", "D"),
        options=O1,
    ),
    *_rows(
        "json",
        ('{"answer": "(C)"}', "C"),
        ('{"Correct Option": "D"}', "D"),
        ('[{"id": 1, "answer": "B"}]', "B"),
        ('{"answer": "A"} or {"answer": "B"}', None),
        ('{"answer": "insufficient information"}', None),
        ("{}", None),
        ('{"explanation": "The capsule is intact.", "answer": "b"}', "B"),
        ('```\n{"ans": "A"}\n```', "A"),
        options=O1,
    ),
    *_rows(
        "chinese",
        ("答案：A。理由：可见核沟。", "A"),
        ("这道题的答案是B", "B"),
        ("诊断为髓样癌。", "C"),
        ("我的答案：c", "C"),
        ("不能确定是A还是B。", None),
        ("A：乳头状癌\nB：滤泡性腺瘤\nC：髓样癌\nD：桥本甲状腺炎", None),
        ("<think>可能是A。</think>答案是D", "D"),
        ("所以答案应该是C，而不是A。", "C"),
        options=O5,
    ),
    *_rows(
        "not-but",
        ("The answer is not B, it's A.", "A"),
        ("I'd rule out A; D too. Between B and C, I'd choose B.", "B"),
        ("C? No. The correct answer is B.", "B"),
        ("Don't choose A.", None),
        ("A is not supported by the image.", None),
        ("I am sure that neither B nor C is the answer.", None),
        ("B, not C.", "B"),
        ("It is wrong to pick D; A is the correct choice.", "A"),
        ("The textbook would say C, but in this image it is clearly D.", "D"),
        ("It could have been A were there grooves. There are none. C it is.", "C"),
        ("Answer: not A, but B", "B"),
        options=O1,
    ),
    *_rows(
        "list",
        ("A: wrong. B: wrong. C: right. D: wrong.", "C"),
        (
            "Let's check.\n(A) Yes? Grooves are there.\n(B) No capsule.\n(C) No amyloid.\n"
            "(D) No lymphoid tissue.\nHence (A).",
            "A",
        ),
        ("Option A is likely. Option B is possible.", None),
        (
            "The choices are A) Papillary thyroid carcinoma, B) Follicular adenoma, C) "
            "Medullary carcinoma, D) Hashimoto thyroiditis. I select D.",
            "D",
        ),
        ("(A) 60% (B) 20% (C) 15% (D) 5%", None),
        ("Probability: A 0.1, B 0.7, C 0.1, D 0.1. Therefore B.", "B"),
        options=O1,
    ),
    *_rows(
        "list",
        (
            "Step 1. Identify the stain: membrane.\nStep 2. Score: 3+.\nStep 3. Match: HER2 "
            "positive.\n\nFinal: B",
            "B",
        ),
        (
            "ER is negative, so A is out. PR is negative, so D is out. HER2 is 3+, so B "
            "holds and C falls. Ki-67 is high, so E is out.",
            "B",
        ),
        options=O6,
    ),
    *_rows(
        "option-text",
        ("It decreases.", "B"),
        ("The cellularity decreases from left to right.", "B"),
        options=O7,
    ),
    *_rows(
        "option-text",
        ("The tumour is triple negative.", "C"),
        options=O6,
    ),
    *_rows(
        "option-text",
        ("High grade dysplasia", "B"),
        ("There is no dysplasia.", "C"),
        ("Low- or high-grade dysplasia.", None),
        options=O8,
    ),
    *_rows(
        "option-text",
        ("Blood group A", "B"),
        options=O4,
    ),
    *_rows(
        "option-text",
        ("Fig. B", "B"),
        options=O9,
    ),
    *_rows(
        "option-text",
        ("More than 10", "D"),
        ("I count 5 mitoses.", None),
        options=O2,
    ),
    *_rows(
        "option-text",
        ("Diagnosis: osteosarcoma.", "B"),
        ("These appearances are those of a giant cell tumour.", "D"),
        ("This is osteoid osteoma, as the nidus shows.", "F"),
        ("Enchondroma is in the differential.", None),
        ("Chondroblastoma", None),
        options=O10,
    ),
    *_rows(
        "option-text",
        ("The crypts branch at low power and the nuclei are pseudostratified at high power.", "A"),
        options=O11,
    ),
    *_rows(
        "option-text",
        ("No, it doesn't.", "B"),
        ("I see no mitoses in the field.", None),
        options=O12,
    ),
    *_rows(
        "open-thought",
        ("<think>\n1. grooves?\n2. capsule?\nAnswer: C", None),
        ("<think>\n</think>\n\n**Answer: B**", "B"),
        ("<think>A, B, C and D all seem</think>\nI choose D.", "D"),
        (
            "<think>no close but long the follicle is round and pink the follicle is round "
            "and pink the follicle is round and pink the follicle is round and pink the "
            "follicle is round and pink the follicle is round and pink the follicle is round "
            "and pink the follicle is round and pink the follicle is round and pink the "
            "follicle is round and pink the follicle is round and pink the follicle is round "
            "and pink the follicle is round and pink the follicle is round and pink the "
            "follicle is round and pink the follicle is round and pink the follicle is round "
            "and pink the follicle is round and pink the follicle is round and pink the "
            "follicle is round and pink so the answer is C.",
            None,
        ),
        ("The answer is B. <think>Is it? Maybe A", "B"),
        options=O1,
    ),
    *_rows(
        "refusal",
        ("I can't help with medical images.", None),
        ("I'd rather not answer this.", None),
        ("I must decline. A certified pathologist should review this.", None),
        ("Cannot determine.", None),
        ("No option is correct.", None),
        ("I can't be sure, but I'd guess D.", "D"),
        ("While I can't give medical advice, the best answer is A.", "A"),
        options=O1,
    ),
    *_rows(
        "refusal",
        ("我不知道", None),
        options=O5,
    ),
    *_rows(
        "error",
        ("<html><head><title>504 Gateway Time-out</title></head></html>", None),
        ("Rate limit reached for model b in organization d", None),
        ("(null)", None),
        ("....", None),
        ("<|im_end|>", None),
        ("Image A could not be processed.", None),
        options=O1,
    ),
    *_rows(
        "several",
        ("A and C are correct.", None),
        ("Answer: A or B.", None),
        ("I choose B and C.", None),
        ("I said A. Correction: D.", "D"),
        ("A — no, sorry, C.", "C"),
        ("The answer is B. Option D is also possible.", "B"),
        ("It's a toss-up between A and D, but I'll go with D.", "D"),
        ("Correct answers: B, D", None),
        options=O1,
    ),
    *_rows(
        "letter",
        ("B.", "B"),
        ("A follicle lined by cuboidal cells.", None),
        ("A clear B.", None),
        ("the answer is b", "B"),
        ("D, Hashimoto thyroiditis", "D"),
        ("I believe the correct answer to be C.", "C"),
        ("So, in my judgement, C.", "C"),
        ("A is what the images show.", "A"),
        ("Choose B!", "B"),
        ("The answer that best fits is D.", "D"),
        ("Without question, A.", "A"),
        ("A vitamin C level was measured.", None),
        ("C. Medullary carcinoma. The stroma holds amyloid; D would show germinal centres.", "C"),
        options=O1,
    ),
    *_rows(
        "long",
        (
            "Thank you for sharing these three images. Let me describe what I see at each of "
            "them.\n\n**Low power.** A well-circumscribed nodule, with a thin capsule along "
            "its left margin.\n**Mid power.** Microfollicles with scant colloid; the capsule "
            "is intact in every field shown.\n**High power.** Round, even nuclei; no "
            "grooves, no pseudoinclusions; no mitoses.\n\n**Reasoning.** Papillary thyroid "
            "carcinoma (option A) is a diagnosis of nuclear features, which are missing. "
            "Medullary carcinoma (option C) has nests and amyloid. Hashimoto thyroiditis "
            "(option D) has lymphoid follicles. An encapsulated follicular lesion without "
            "invasion remains, which is follicular adenoma.\n\n**Final answer: B. Follicular "
            "adenoma**",
            "B",
        ),
        options=O1,
    ),
    *_rows(
        "long",
        (
            "Let me consider. In the first image the surface is villous. In the second image "
            "the crypts branch. In the third image nuclei reach the luminal surface, with "
            "loss of polarity.\n\nIf polarity were kept, I'd say A (low-grade). With "
            "polarity lost and cribriforming present, B is the better choice. C can be "
            "dismissed at once. D is for cases obscured by inflammation, which is not a "
            "problem here.",
            "B",
        ),
        options=O8,
    ),
    *_rows(
        "long",
        (
            "I start from the high-power view: there is lacy osteoid between atypical cells. "
            "A needs cartilage. C needs small round cells. D needs evenly spread giant "
            "cells. E and F are benign, and the nuclei here are not. The only entity defined "
            "by malignant osteoid is osteosarcoma.",
            "B",
        ),
        (
            "The views differ in focus. At low power there is bone; at high power I see "
            "cells that might be osteoblasts, or else tumour cells. Options B and F both "
            "come with osteoid. Size would decide between them and no scale bar is given.",
            None,
        ),
        (
            "First I looked for cartilage: there is a lobulated, blue-grey matrix. That "
            "speaks for A or E. Then I looked at the host bone: trabeculae are entrapped and "
            "eroded. Enchondroma would show encasement. So it comes down to A. Nuclear "
            "atypia with binucleation supports this as well.",
            "A",
        ),
        options=O10,
    ),
    *_rows(
        "long",
        (
            "Question: what changes from low to high power?\n\nThe nuclei per field go up at "
            "first sight, but that's an effect of the zoom... normalised for area the "
            "density falls. Hence option B (Decreases) describes the change; A (Increases) "
            "would be the naive reading, and C (Stays the same) ignores the gradient.",
            "B",
        ),
        options=O7,
    ),
    *_rows(
        "tagged",
        ("<think>Cellular crescents fill Bowman's space.</think> <answer>B</answer>", "B"),
        ("<answer>Crescent Formation.</answer>", "B"),
        ("<think>D? no.</think><answer>[C]</answer> C it is", "C"),
        ("<answer>\n**A. Glomerulosclerosis**\n</answer>", "A"),
        ("<answer>Neither</answer>", None),
        ("<answer>H</answer>", None),
        ("```xml\n<answer>D</answer>\n```", "D"),
        options=O13,
    ),
    *_rows(
        "tagged",
        ("<answer>B and C</answer>", "A"),
        options=O14,
    ),
    *_rows(
        "tagged",
        ("<answer>Uncertain</answer>", "C"),
        options=O15,
    ),
    *_rows(
        "tagged",
        ("<answer>3 o'clock</answer>", "B"),
        options=O16,
    ),
    *_rows(
        "bracketed",
        ("(B) because the Bowman space is filled by cells", "B"),
        ("Correct: (A)", "A"),
        ("I reject (A), (C) and (D) and accept (B).", "B"),
        ("See panels (A) and (B) above.", None),
        ("Choosing between (A) and (C) is hard.", None),
        ("Ans. (d)", "D"),
        ("Out of (A)-(D), (B) matches best.", "B"),
        options=O13,
    ),
    *_rows(
        "bold",
        ("**Answer: (A) Glomerulosclerosis**", "A"),
        ("The finding that changes between the scales is **B. Crescent formation**.", "B"),
        ("**Choice C**", "C"),
        ("**My answer is B**, as the crescents are cellular.", "B"),
        ("**Explanation**: The tuft is compressed.\n**Answer**: B", "B"),
        options=O13,
    ),
    *_rows(
        "bold",
        ("## Final answer\n> **C. Thymus**", "C"),
        (
            "**Lymph node** – sinus\n**Tonsil** – squamous lining\n**Thymus** – Hassall corpuscles",
            None,
        ),
        options=O17,
    ),
    *_rows(
        "boxed",
        ("\\boxed{B}.", "B"),
        options=O13,
    ),
    *_rows(
        "boxed",
        ("\\boxed{Tonsil}", "B"),
        ("$$\n\\boxed{C}\n$$", "C"),
        ("\\boxed{A and B}", None),
        ("It isn't \\boxed{A}; it's \\boxed{B}.", "B"),
        ("Final Answer: \\boxed{\\textit{e}}", "E"),
        options=O17,
    ),
    *_rows(
        "json",
        ('{"model_answer": "B"}', "B"),
        ('{"output": {"final_answer": "D"}}', "D"),
        ('{"Answer": "A. Lymph node"}', "A"),
        ('{"selected": ["D"]}', "D"),
        ('{"reason": "It could be A or B", "answer": "N/A"}', None),
        ('{"answer": false}', None),
        ('{"scores": {"A": 1, "B": 3}}', None),
        ('"B"', "B"),
        options=O17,
    ),
    *_rows(
        "chinese",
        ("正确答案：B. 新月体形成", "B"),
        ("应该选C项。", "C"),
        ("考虑为肾小管萎缩。", "C"),
        ("排除B和C后，剩下A和D，难以判断。", None),
        ("这不是A。", None),
        ("选项A描述的是硬化，选项B描述的是新月体。", None),
        ("综合分析，B选项最符合图像特征。", "B"),
        ("我倾向于C。", "C"),
        options=O18,
    ),
    *_rows(
        "not-but",
        ("The answer is certainly not A; I'd go with B.", "B"),
        ("A would be a mistake; B is the correct choice.", "B"),
        ("I ruled out A, B and C, which leaves D as the answer.", "D"),
        ("It's neither A nor C nor D. So it's B.", "B"),
        ("You should not select C.", None),
        ("Were the tuft sclerosed, the answer would be A.", None),
        ("The wrong answer is A.", None),
        ("A is a distractor here.", None),
        ("Instead of A, choose B.", "B"),
        ("B is more convincing than C, so B.", "B"),
        options=O13,
    ),
    *_rows(
        "list",
        (
            "A. No sclerosis is visible.\nB. There are cellular crescents.\nC. Tubules look "
            "fine.\nD. The interstitium is not widened.\n\nAnswer: B",
            "B",
        ),
        (
            "Going through them one by one: A needs a solid tuft, B needs cells in Bowman's "
            "space, C needs thick tubular basement membranes, D needs lymphocytes.",
            None,
        ),
        (
            "Option A: improbable. Option B: improbable. Option C: improbable. Option D: probable.",
            None,
        ),
        ("A (false), B (false), C (true), D (false)", "C"),
        (
            "Pros for A: scar. Cons for A: no tuft collapse. Pros for B: cells. Cons for B: "
            "few. Verdict: B.",
            "B",
        ),
        ("A and D can be set aside. B versus C: the tubules are normal. Final choice: B.", "B"),
        options=O13,
    ),
    *_rows(
        "list",
        ("1. Lymph node\n2. Tonsil\n3. Thymus\n4. Spleen\n5. Bone marrow", None),
        (
            "a. lymph node - no\nb. tonsil - no\nc. thymus - no\nd. spleen - yes\ne. bone "
            "marrow - no\n\nAnswer: d",
            "D",
        ),
        options=O17,
    ),
    *_rows(
        "option-text",
        ("It is crescent formation.", "B"),
        ("The answer is interstitial inflammation", "D"),
        ("No crescent formation.", None),
        ("The main abnormality is glomerulosclerosis, with little tubular atrophy.", "A"),
        options=O13,
    ),
    *_rows(
        "option-text",
        ("This is carcinoma.", "B"),
        ("The diagnosis is melanoma.", "D"),
        options=O19,
    ),
    *_rows(
        "option-text",
        ("IgA nephropathy is the most likely diagnosis.", "A"),
        ("I would diagnose minimal change disease.", "C"),
        ("IgA nephropathy and lupus nephritis", None),
        options=O20,
    ),
    *_rows(
        "option-text",
        ("acute", "A"),
        options=O21,
    ),
    *_rows(
        "option-text",
        ("6 o'clock", "C"),
        options=O16,
    ),
    *_rows(
        "option-text",
        ("HPV 16", "A"),
        ("The inclusions are caused by CMV.", "D"),
        options=O22,
    ),
    *_rows(
        "option-text",
        ("A and C", "B"),
        options=O14,
    ),
    *_rows(
        "option-text",
        ("Stain A", "A"),
        options=O23,
    ),
    *_rows(
        "option-text",
        ("The blue band in the overview is mucin.", "C"),
        options=O24,
    ),
    *_rows(
        "option-text",
        ("Uncertain", "C"),
        options=O15,
    ),
    *_rows(
        "open-thought",
        ("<think>Answer: **B**", None),
        ("<think>ok</think>The correct answer is (D).", "D"),
        ("Thinking: A? B? \n</think>\n<answer>C</answer>", "C"),
        ("<thought>A is tempting</thought>\nB", "B"),
        ('<think>{"answer": "A"}</think>{"answer": "B"}', "B"),
        options=O13,
    ),
    *_rows(
        "refusal",
        ("I don't see an image here.", None),
        ("Please consult a physician.", None),
        ("Insufficient information.", None),
        ("Any answer would be a guess.", None),
        ("Could you provide the high-magnification image? Option D depends on it.", None),
        ("Hard to be certain; B is my best guess.", "B"),
        ("Sorry for the delay. The answer is C.", "C"),
        options=O13,
    ),
    *_rows(
        "error",
        ("Error: Connection reset by peer", None),
        ("HTTP/1.1 429 Too Many Requests\nRetry-After: 5", None),
        ('{"error": {"code": 500}}', None),
        ("IndexError: list index out of range", None),
        ("[]", None),
        ("BBBBBBBBBBBBBBBBBBBB", None),
        ("Service unavailable", None),
        options=O13,
    ),
    *_rows(
        "several",
        ("Either B or C, depending on the stain.", None),
        ("B+C", None),
        ("A and B and C and D", None),
        ("The answer is A; no, it is D.", "D"),
        ("I'd say B. Or C.", None),
        ("One of A and C.", None),
        ("The answer is B. The correct answer is C.", None),
        options=O13,
    ),
    *_rows(
        "letter",
        ("A glomerulus with a crescent.", None),
        ("d.", "D"),
        ("It's got to be B.", "B"),
        ("B, I think.", "B"),
        ("The best match is option B.", "B"),
        ("My conclusion is B.", "B"),
        ("For me it's C.", "C"),
        ("Please choose option B.", "B"),
        ("Correct answer --> B", "B"),
        ("The C3 stain is positive, D-dimer was raised.", None),
        ("Type B intercalated cells.", None),
        ("Vitamin A and D levels are low.", None),
        ("Go for A.", "A"),
        ("E is out of range here.", None),
        options=O13,
    ),
    *_rows(
        "long",
        (
            "I'll go from low to high.\n\nAt low power I see cortex with about twenty "
            "glomeruli. Six of them carry a cellular cap. At mid power the cap lies inside "
            "Bowman's capsule and compresses the tuft. At high power it consists of two or "
            "more layers of cells, with fibrin.\n\nLooking at the alternatives, sclerosis "
            "(A) would give a solid, acellular tuft. Atrophy (C) would give small tubules "
            "with thick membranes. Inflammation (D) would give lymphocytes between tubules, "
            "and there are a few, though not enough to be the main finding.\n\nI am "
            "therefore confident in B.",
            "B",
        ),
        (
            'Let me think about what the question wants. "Which lesion links the low-power '
            'scar to the high-power finding?" In the low-power image the scar is '
            "wedge-shaped. In the high-power image the tuft is replaced by hyaline material. "
            "A scar with hyaline tufts… C could also go with a scar, as tubules drop out. I "
            "waver between A and C.",
            None,
        ),
        options=O13,
    ),
    *_rows(
        "long",
        (
            "**Low power:** capsule, subcapsular sinus, follicles at the rim.\n**Mid "
            "power:** germinal centres with mantle; paracortex.\n**High power:** "
            "tingible-body macrophages.\n\nA tonsil (B) has a squamous surface with crypts; "
            "none here. A thymus (C) has no germinal centres. A spleen (D) lacks a "
            "subcapsular sinus. Marrow (E) has fat.\n\nHence the tissue is a lymph node.",
            "A",
        ),
        options=O17,
    ),
    *_rows(
        "long",
        (
            "1. Stain: PAS.\n2. Compartment: glomerulus.\n3. Pattern: extracapillary.\n4. "
            "Age: cellular, so acute.\n\nThe question is whether the process is acute or "
            "chronic; a fibrous crescent would be chronic, a cellular one is acute. Answer: Acute.",
            "A",
        ),
        options=O21,
    ),
    *_rows(
        "long",
        (
            "Considering the band in the overview: at mid power it splits into several "
            "layers of small cells with dark nuclei, resting on a thin pink line. Smooth "
            "muscle (A) would have long nuclei. Mucin (C) would be without nuclei. D does "
            "not apply since B is in accordance with everything seen. B is the statement I "
            "endorse.",
            "B",
        ),
        options=O24,
    ),
    *_rows(
        "tagged",
        ("<think>Concentric lamellae.</think>\n<answer>D</answer>", "D"),
        ("<answer>d - Psammoma body</answer>", "D"),
        ("<think>Final: <answer>B</answer></think>\n<answer>A</answer>", "A"),
        ("<answer>Cannot say</answer>", None),
        ("<answer>Answer: (C)</answer>", "C"),
        options=O25,
    ),
    *_rows(
        "tagged",
        ("<answer>Absent</answer>", "B"),
        options=O26,
    ),
    *_rows(
        "bracketed",
        ("It is (D).", "D"),
        ("We see whorls, hence option (B).", "B"),
        ("Options (A) and (C) are excluded, and (B) is more typical of skin. I take (D).", "D"),
        ("Structures (A), (B) and (C) are annotated on the slide.", None),
        ("Best option: (A)", "A"),
        options=O25,
    ),
    *_rows(
        "bold",
        ("The correct option is **B**: Keratin pearl.", "B"),
        ("**Final Answer: D — Psammoma body**", "D"),
        ("#### Answer: **C**", "C"),
        ("Thus **C (Amyloid deposit)** is the best interpretation.", "C"),
        options=O25,
    ),
    *_rows(
        "boxed",
        ("$\\boxed{\\text{A}}$", "A"),
        ("\\boxed{(C) Amyloid deposit}", "C"),
        ("\\boxed{none}", None),
        ("I get \\boxed{C}. Hmm, wait, the lamellae speak for \\boxed{D}.", "D"),
        options=O25,
    ),
    *_rows(
        "json",
        ('{"best_answer": "b"}', "B"),
        ('{"predicted_label": "C"}', "C"),
        ('{"answer": "B/D"}', None),
        ('{"answer": {"option": "A"}}', "A"),
        ('{"A": "Koilocytosis", "B": "Keratin pearl"}', None),
        options=O25,
    ),
    *_rows(
        "chinese",
        ("选D，砂粒体。", "D"),
        ("正确答案应为B。", "B"),
        ("看不清楚，无法选择。", None),
        ("不选A。", None),
        ("最符合的选项是A。", "A"),
        options=O27,
    ),
    *_rows(
        "not-but",
        ("Not B; I'd go for D instead.", "D"),
        ("Whoever says B has missed the calcium; the structure is D.", "D"),
        ("Excluding A, B and C, the answer is D.", "D"),
        ("The answer is anything but A.", None),
        ("Nobody would call this C.", None),
        ("C does not apply, nor does B.", None),
        ("D is right, whereas A is wrong.", "D"),
        ("I had B in mind at first. Now I prefer D.", "D"),
        options=O25,
    ),
    *_rows(
        "list",
        ("A: halos – absent\nB: whorls – absent\nC: pink – absent\nD: lamellae – uncertain", None),
        (
            "(A) would show halos. (B) would show whorled keratin. (C) would show pink "
            "material. (D) would show lamellae. Lamellae are what we see, so (D).",
            "D",
        ),
        ("Likelihoods: A low, B low, C high, D low.", None),
        options=O25,
    ),
    *_rows(
        "list",
        ("Possible: A, B. Impossible: C, D, E.", None),
        options=O28,
    ),
    *_rows(
        "list",
        ("Statement A is false, statement B is true, statement C is false.", "B"),
        options=O29,
    ),
    *_rows(
        "option-text",
        ("keratin pearl", "B"),
        ("We are looking at an amyloid deposit.", "C"),
        ("No keratin pearl is seen.", None),
        options=O25,
    ),
    *_rows(
        "option-text",
        ("The cells are positive for CD8.", "B"),
        options=O30,
    ),
    *_rows(
        "option-text",
        ("Invasion is present.", "A"),
        options=O26,
    ),
    *_rows(
        "option-text",
        ("The mid-power view is not informative.", "C"),
        options=O29,
    ),
    *_rows(
        "option-text",
        ("I favor inverted papilloma.", "E"),
        ("A carcinoma.", None),
        ("Cystitis glandularis should be ruled out.", None),
        options=O28,
    ),
    *_rows(
        "open-thought",
        ("<think>done</think> D", "D"),
        ("<think>I choose B</think>", None),
        ("lots of thought, A then B</think><answer>D</answer>", "D"),
        options=O25,
    ),
    *_rows(
        "refusal",
        ("I won't pick between A and B without the slide.", None),
        ("My training doesn't allow me to pick A, B, C, or D.", None),
        ("It's unclear whether A applies.", None),
        ("As an AI I can't diagnose, but the option that fits is D.", "D"),
        ("I would like to see a Congo red stain before I say C.", None),
        ("I see B lymphocytes.", None),
        ("My microscope has a type C mount.", None),
        options=O25,
    ),
    *_rows(
        "error",
        ("400 Bad Request: unsupported parameter D", None),
        ("Error", None),
        ("????", None),
        options=O25,
    ),
    *_rows(
        "several",
        ("A, D", None),
        ("It's A and it's D.", None),
        ("I choose A. I also choose C.", None),
        ("I'd go with A; alternatively C.", "A"),
        ("Final answer: B. Wait, no. Final answer: D.", "D"),
        ("A then B then C", None),
        options=O25,
    ),
    *_rows(
        "letter",
        ("A lamellated structure.", None),
        ("So it's D.", "D"),
        ("Hence: D", "D"),
        ("My answer? D.", "D"),
        ("The right letter is D", "D"),
        ("I'd bet on B.", "B"),
        ("answer d", "D"),
        ("The T and B cells are mixed.", None),
        ("Grade C changes were noted by observer A.", None),
        options=O25,
    ),
    *_rows(
        "long",
        (
            "The request is to name the round body in the third image.\n\nIt has concentric "
            "rings and a deep purple colour. In the second image several of them lie in "
            "papillary stalks. In the first the tumour is papillary throughout.\n\nA is a "
            "change of squamous cells, with a halo round the nucleus. B is keratin, pink and "
            "onion-like: rings too, but pink. C is structureless. Purple rings mean "
            "calcium.\n\nThe description that covers all this is D.",
            "D",
        ),
        (
            "Onion-like rings can be keratin (B) or calcium (D). The colour decides: pink "
            "for B, purple for D. In my copy of the image the colour balance is off and I "
            "see neither. I'd need the original file.",
            None,
        ),
        options=O25,
    ),
    *_rows(
        "long",
        (
            "At low power, the bladder wall with an endophytic lesion. At mid power, "
            "anastomosing cords with smooth contours. At high power, peripheral palisading "
            "without atypia. Carcinoma (A) would have atypia and a stromal reaction; "
            "prostate (B) and kidney (C) are off; glandular metaplasia (D) would have mucin. "
            "Everything fits E.",
            "E",
        ),
        options=O28,
    ),
]
