"""Replies of every kind about lung, breast, viscera and skin; rows as in extraction_cases.py."""

from __future__ import annotations

from extraction_cases import Row, _rows

O1 = (
    "Invasive ductal carcinoma",
    "Ductal carcinoma in situ",
    "Invasive lobular carcinoma",
    "Fibroadenoma",
)
O2 = ("Adenocarcinoma", "Squamous cell carcinoma", "Small cell carcinoma", "Large cell carcinoma")
O3 = ("Upper left", "Upper right", "Lower left", "Lower right", "Centre", "Not visible")
O4 = ("Central necrosis", "Peripheral fibrosis", "Lymphocytic infiltrate", "Normal glands")
O5 = ("Grade 1", "Grade 2", "Grade 3", "Grade 4")
O6 = ("腺癌", "鳞状细胞癌", "小细胞癌", "正常组织")
O7 = ("x1", "x2", "x3")
O8 = ("Yes", "No")
O9 = ("carcinoma", "carcinoma in situ", "invasive carcinoma", "no carcinoma")
O10 = ("Hepatitis A", "Hepatitis B", "Hepatitis C", "None of the above")
O11 = (
    "Vitamin B12 deficiency",
    "Vitamin A excess",
    "Vitamin D deficiency",
    "Vitamin C deficiency",
    "Vitamin K deficiency",
)
O12 = ("Type A thymoma", "Type AB thymoma", "Type B1 thymoma", "Type B3 thymoma")
O13 = ("CD20", "CD3", "CD30", "CD138")
O14 = (
    "The high-power image is from the same gland",
    "The images come from different regions",
    "Cannot be determined",
)
O15 = ("A", "B", "C", "D", "E", "F", "G", "H", "I")
O16 = ("Kidney", "Liver", "Spleen", "Pancreas")
O17 = ("Eosinophils", "Neutrophils", "Plasma cells", "Mast cells", "Macrophages")
O18 = ("Gleason 3+3=6", "Gleason 3+4=7", "Gleason 4+3=7", "Gleason 4+4=8")
O19 = (
    "Melanoma",
    "Spitz naevus",
    "Blue naevus",
    "Basal cell carcinoma",
    "Melanoma in situ",
    "Seborrhoeic keratosis",
)
O20 = ("坏死", "纤维化", "炎症细胞浸润", "无异常")
O21 = (
    "The dark cluster at low power is a lymphoid aggregate",
    "The dark cluster at low power is tumour budding",
    "The dark cluster at low power is crush artefact",
    "The dark cluster at low power is calcification",
)
O22 = ("Stage I", "Stage II", "Stage III", "Stage IV")
O23 = (
    "Only A-type nuclei",
    "Only B-type nuclei",
    "Both A-type and B-type nuclei",
    "Neither A-type nor B-type nuclei",
)
O24 = ("A and B cells", "Both B and C cells", "Alpha cells", "Delta cells")
O25 = ("All of the above", "Necrosis", "Haemorrhage", "None of the above")
O26 = ("Benign", "Malignant")
O27 = ("True", "False", "Not enough information")
O28 = ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH", "II")
O29 = ("Top-left quadrant", "Top-right quadrant", "Bottom-left quadrant", "Bottom-right quadrant")

CASES: list[Row] = [
    *_rows(
        "tagged",
        ("<think>I lean to A but B is better.</think>\n<answer> B </answer>", "B"),
        ("<answer>D. Fibroadenoma</answer>", "D"),
        options=O1,
    ),
    *_rows(
        "tagged",
        ("<think>At first <answer>A</answer> seemed fine.</think><answer>C</answer>", "C"),
        ("<ANSWER>b</ANSWER>", "B"),
        ("<answer>A or B</answer>", None),
        ("<answer>I cannot tell from the images</answer>", None),
        ("<think>Small blue cells with moulding, crush artefact.</think>\n<answer>C", "C"),
        options=O2,
    ),
    *_rows(
        "tagged",
        ("<answer>Option C</answer>", "C"),
        options=O3,
    ),
    *_rows(
        "tagged",
        ("<answer>A, C</answer>", None),
        ("<answer>\\boxed{B}</answer>", "B"),
        options=O4,
    ),
    *_rows(
        "bracketed",
        ("(B)", "B"),
        ("Looking at the three scales, the keratin pearls point to (B).", "B"),
        ("Answer: [B]", "B"),
        ("I compared (A) with (B) and found no difference worth naming.", None),
        ("Answer = (a)", "A"),
        ("（B）", "B"),
        ("Between (A) and (C), (C) is the better fit.", "C"),
        options=O2,
    ),
    *_rows(
        "bracketed",
        ("The best choice is (D) because normal acini persist.", "D"),
        options=O4,
    ),
    *_rows(
        "bold",
        ("**Answer: C**", "C"),
        (
            "- **A. Adenocarcinoma**: glands absent.\n- **B. Squamous cell carcinoma**: "
            "keratin absent.\n- **C. Small cell carcinoma**: nuclear moulding absent.\n- "
            "**D. Large cell carcinoma**: possible.\n\n**Answer:** **D**",
            "D",
        ),
        (
            "**A. Adenocarcinoma** shows glands.\n**B. Squamous cell carcinoma** shows "
            "keratin.\n**C. Small cell carcinoma** shows moulding.\n**D. Large cell "
            "carcinoma** shows none of these.",
            None,
        ),
        options=O2,
    ),
    *_rows(
        "bold",
        (
            "**B. Ductal carcinoma in situ**\n\nThe myoepithelial layer is preserved, which "
            "rules out A and C.",
            "B",
        ),
        ("**Final Answer:** (C)", "C"),
        options=O1,
    ),
    *_rows(
        "bold",
        ("***B***", "B"),
        ("## Analysis\nLow power: solid nests.\n\n## Conclusion\n**C**", "C"),
        options=O5,
    ),
    *_rows(
        "boxed",
        ("$\\boxed{\\text{B}}$", "B"),
        ("\\boxed{D. Large cell carcinoma}", "D"),
        ("The answer is \\(\\boxed{\\mathrm{C}}\\)", "C"),
        ("\\boxed{}", None),
        ("\\boxed{\\textbf{D}}", "D"),
        ("\\boxed{Small cell carcinoma}", "C"),
        options=O2,
    ),
    *_rows(
        "json",
        ('{"answer": "B"}', "B"),
        ("{'answer': 'C'}", "C"),
        ('{"choice": "D"}', "D"),
        ('{"answer": null}', None),
        ('{"answer": ["A","B"]}', None),
        (
            'Here is my response:\n{"analysis": {"low": "solid", "high": "A nucleolus"}, '
            '"selected_option": "D"}',
            "D",
        ),
        ('{"answer": {"letter": "C", "text": "Small cell carcinoma"}}', "C"),
        ('{"A": 0.1, "B": 0.2, "C": 0.3, "D": 0.4}', None),
        ('{"answer":"unknown"}', None),
        options=O2,
    ),
    *_rows(
        "chinese",
        ("答案：B", "B"),
        options=O2,
    ),
    *_rows(
        "chinese",
        ("正确答案为（D）", "D"),
        ("综上所述，最可能的诊断是鳞状细胞癌，故选B。", "B"),
        ("最终答案：**D. 正常组织**", "D"),
        ("正确选项：C", "C"),
        ("小细胞癌", "C"),
        ("答案不是A，而是C。", "C"),
        ("排除A、B、D，所以选C", "C"),
        ("抱歉，我不能提供医学诊断。", None),
        options=O6,
    ),
    *_rows(
        "not-but",
        ("The answer is not A but D.", "D"),
        ("A is incorrect, B is incorrect, and D is incorrect, so C is correct.", "C"),
        ("The answer cannot be A.", None),
        ("Answer: not B", None),
        ("Rather than A, the right choice is B.", "B"),
        ("The answer is D, not A.", "D"),
        ("Neither A nor B is right; the answer must be C.", "C"),
        ("If keratin were present the answer would be B.", None),
        ("The answer is neither A nor B.", None),
        options=O2,
    ),
    *_rows(
        "not-but",
        ("Option A can be excluded. Option B as well. This leaves C.", "C"),
        options=O7,
    ),
    *_rows(
        "list",
        (
            "A. Adenocarcinoma - no glands seen.\nB. Squamous cell carcinoma - keratin "
            "seen.\nC. Small cell carcinoma - cells too large.\nD. Large cell carcinoma - "
            "diagnosis of exclusion.\n\nTherefore, the answer is B.",
            "B",
        ),
        options=O2,
    ),
    *_rows(
        "list",
        (
            "A) Central necrosis: there is pink debris.\nB) Peripheral fibrosis: scant.\nC) "
            "Lymphocytic infiltrate: minimal.\nD) Normal glands: absent.\n\nConclusion: A",
            "A",
        ),
        (
            "Considering all options, A mentions necrosis, B mentions fibrosis, C mentions "
            "lymphocytes and D is normal. The dominant finding is dense lymphocytes around "
            "the ducts.\n\nFinal answer: C",
            "C",
        ),
        options=O4,
    ),
    *_rows(
        "list",
        (
            "(A) Yes - mitoses present.\n(B) No - would need a quiet field.\n\nThe field "
            "shows three mitoses per HPF, so I select (A).",
            "A",
        ),
        options=O8,
    ),
    *_rows(
        "list",
        ("Question: which grade?\nA. Grade 1\nB. Grade 2\nC. Grade 3\nD. Grade 4\nAnswer: B", "B"),
        ("A: ✗\nB: ✗\nC: ✗\nD: ✓\n\nSo: D", "D"),
        options=O5,
    ),
    *_rows(
        "list",
        (
            "Step 1: Low power shows a lobulated mass with a pushing border.\nStep 2: Medium "
            "power shows slit-like ducts compressed by stroma.\nStep 3: High power shows "
            "bland nuclei.\nStep 4: Compare with the options. A and C would need stromal "
            "invasion. B would need atypical cells filling ducts. \nStep 5: Conclude. "
            "Fibroadenoma matches.\n\nAnswer: D",
            "D",
        ),
        options=O1,
    ),
    *_rows(
        "list",
        (
            "A. Upper left: stroma only.\nB. Upper right: fat.\nC. Lower left: tumour nest "
            "with necrosis.\nD. Lower right: vessel.\nE. Centre: artefact.\nF. Not visible: "
            "no, since it can be seen.\n\nHence the requested area is C (Lower left).",
            "C",
        ),
        options=O3,
    ),
    *_rows(
        "option-text",
        ("Fibroadenoma", "D"),
        ("Ductal carcinoma in situ", "B"),
        ("Invasive ductal carcinoma or ductal carcinoma in situ", None),
        options=O1,
    ),
    *_rows(
        "option-text",
        ("carcinoma in situ", "B"),
        ("The answer is carcinoma in situ.", "B"),
        options=O9,
    ),
    *_rows(
        "option-text",
        ("The answer is Hepatitis B", "B"),
        options=O10,
    ),
    *_rows(
        "option-text",
        ("The most likely diagnosis is Vitamin D deficiency.", "C"),
        options=O11,
    ),
    *_rows(
        "option-text",
        ("The correct answer is Type A thymoma.", "A"),
        options=O12,
    ),
    *_rows(
        "option-text",
        ("CD30", "C"),
        ("Final answer: CD138", "D"),
        options=O13,
    ),
    *_rows(
        "option-text",
        ("This is consistent with squamous cell carcinoma, given the keratin pearls.", "B"),
        options=O2,
    ),
    *_rows(
        "option-text",
        ("Cannot be determined", "C"),
        options=O14,
    ),
    *_rows(
        "open-thought",
        ("<think>The glands look irregular, so A is likely. But B could also be", None),
        ("<think>Final answer: B", None),
        options=O2,
    ),
    *_rows(
        "open-thought",
        (
            "<think>\nOkay, so the user asks which grade. Solid sheets. Grade 3 probably. So "
            "the answer should be C.",
            None,
        ),
        ("reasoning about A ... </think>\n\nThe answer is C.", "C"),
        ("<think>reasoning</think>\n\n**D**", "D"),
        ("<think>long text</think>\nThe nuclei are bland.", None),
        ("<think>First block A</think> so <think>second block B</think> C", "C"),
        options=O5,
    ),
    *_rows(
        "refusal",
        ("As an AI language model, I cannot view images.", None),
        ("I'm unable to assist with that. Please consult a pathologist.", None),
        ("I am not able to choose between A and B.", None),
        ("None of the options fit.", None),
        (
            "Sorry, I can't help with that. A biopsy review by a professional would be advisable.",
            None,
        ),
        ("I can't be fully certain, but the most likely answer is C.", "C"),
        ("Unable to answer: the image appears blank.", None),
        ("It could be any of A, B, C, or D.", None),
        options=O2,
    ),
    *_rows(
        "error",
        ("HTTP 503 Service Unavailable", None),
        ("", None),
        ('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: B', None),
        ("!!!!!!!!!!!!!!!!!!!!", None),
        ("Internal error encountered. Request ID: A-1234-B", None),
        ("Failed to load image: C:\\data\\slides\\a.png", None),
        options=O2,
    ),
    *_rows(
        "several",
        ("A/B", None),
        ("The answer is A or B.", None),
        ("The answer is A. The answer is B.", None),
        ("A B C D", None),
        ("My final choice is B. Actually, looking again, C.", "C"),
        ("Answer: B. Correction: Answer: C.", "C"),
        ("It is between A and C, and I cannot decide.", None),
        ("C seems right although A is possible.", "C"),
        options=O2,
    ),
    *_rows(
        "letter",
        ("I see a gland.", None),
        options=O15,
    ),
    *_rows(
        "letter",
        ("b", "B"),
        ("D)", "D"),
        ("The patient has hepatitis B.", None),
        ("Option B", "B"),
        ("Choice: D", "D"),
        ("I choose B", "B"),
        ("I believe this is B.", "B"),
        ("Thus, D.", "D"),
        ("Ans: C", "C"),
        (
            "The answer: A\n\nExplanation: B is wrong because no keratin; C is wrong because "
            "large cells; D is wrong because glands are formed.",
            "A",
        ),
        ("Assistant: B", "B"),
        ("The most appropriate option here is: C", "C"),
        ("Selected: B", "B"),
        options=O2,
    ),
    *_rows(
        "letter",
        ("A tumour with B-cell phenotype.", None),
        options=O13,
    ),
    *_rows(
        "letter",
        ("The letter is E.", "E"),
        options=O3,
    ),
    *_rows(
        "long",
        (
            "To work this out, I compare the three magnifications.\n\nAt low power (the "
            "first image), the section shows a lung parenchyma replaced by a solid "
            "proliferation. A rim of fibrosis is visible. At intermediate power there are "
            "nests with a peripheral palisade. At high power the cytoplasm is eosinophilic "
            "and dense, with intercellular bridges.\n\nNow the candidates. Adenocarcinoma "
            "(A) would require glands or mucin; I see no convincing gland. Small cell "
            "carcinoma (C) would require scant cytoplasm and moulding. Large cell carcinoma "
            "(D) is a diagnosis of exclusion and cannot be made when bridges are present. "
            "That leaves squamous cell carcinoma.\n\n**B**",
            "B",
        ),
        (
            "The lesion could be several things. A would show glands. B would show keratin. "
            "C would show moulding. D would show none of them. The image quality is poor at "
            "high power and I see a blur where nuclei should be. Additional stains (TTF-1, "
            "p40, synaptophysin) would be needed to settle this.",
            None,
        ),
        options=O2,
    ),
    *_rows(
        "long",
        (
            "Let me analyze the images step by step.\n\n1. **Low magnification**: The tissue "
            "architecture is distorted by infiltrating cords.\n2. **Medium magnification**: "
            "Cells line up in single files; a targetoid pattern around ducts.\n3. **High "
            "magnification**: Small uniform nuclei, intracytoplasmic lumina.\n\nEvaluation "
            "of options:\n- A (Invasive ductal carcinoma): would form ducts, less likely.\n- "
            "B (Ductal carcinoma in situ): confined by basement membrane, not the case.\n- C "
            "(Invasive lobular carcinoma): the single-file pattern is typical.\n- D "
            "(Fibroadenoma): biphasic lesion, not the case.\n\nIn summary, the findings "
            "across all magnifications are most consistent with option C.",
            "C",
        ),
        options=O1,
    ),
    *_rows(
        "long",
        (
            "Looking at the image, A is the first thing that comes to mind because necrosis "
            "is so often central. However, the pink area on the left is collagen, not "
            "debris; there are spindle cells and no ghost outlines. B describes exactly "
            "this: a rim of collagen. C is unlikely since I count few lymphocytes, and D is "
            "excluded by the atypia. Taking everything together, B is the most accurate "
            "description.",
            "B",
        ),
        options=O4,
    ),
    *_rows(
        "long",
        (
            "The question asks for the grade. Tubule formation is below 10 %, score 3. "
            "Nuclear pleomorphism is marked, score 3. The mitotic count I estimate at 12 per "
            "10 HPF, score 2. Total 8. In the Nottingham system a sum of 8 or 9 is grade 3. "
            "I considered Grade 2 as the count is uncertain but even with a mitotic score of "
            "2 the sum stays at 8.\n\nSo I'd go for Grade 3.",
            "C",
        ),
        options=O5,
    ),
    *_rows(
        "tagged",
        ("<think>\nWhite pulp and red pulp are visible.\n</think>\n\n<answer>C</answer>", "C"),
        ("<answer>The correct option is D</answer>", "D"),
        ("<answer>A: Kidney</answer>", "A"),
        ("<answer>Liver (B)</answer>", "B"),
        ("<answer>B</answer> or <answer>C</answer>", "C"),
        ("<answer>not A</answer>", None),
        ("<answer>Heart</answer>", None),
        ("<answer>B\n", "B"),
        options=O16,
    ),
    *_rows(
        "tagged",
        ("<think>Plasma cells</think><answer>Plasma cells</answer>", "C"),
        options=O17,
    ),
    *_rows(
        "tagged",
        ("<answer>3+4=7</answer>", None),
        ("<answer>**Answer:** C</answer>", "C"),
        options=O18,
    ),
    *_rows(
        "bracketed",
        ("(C).", "C"),
        ("I conclude (A).", "A"),
        ("The lobular acini with islets are diagnostic [D].", "D"),
        ("Islets are seen (arrow). Ducts are seen (a). Vessels are seen (b).", None),
        ("Option (D)", "D"),
        ("(A) fits and (B), (C), (D) do not.", "A"),
        ("(A), (B)", None),
        ("The answer would be (B), hepatocytes in plates.", "B"),
        options=O16,
    ),
    *_rows(
        "bold",
        ("**The correct answer is B.**", "B"),
        ("*C*", "C"),
        ("> **B**", "B"),
        ("The organ shown is the **spleen**.", "C"),
        ("**Verdict → D**", "D"),
        options=O16,
    ),
    *_rows(
        "bold",
        ("**Diagnosis:** Melanoma", "A"),
        (
            "Looking at the junctional nests confined to the epidermis, my answer is **E. "
            "Melanoma in situ**, not **A. Melanoma**.",
            "E",
        ),
        options=O19,
    ),
    *_rows(
        "bold",
        (
            "**Low power**: nests.\n**High power**: eosinophils.\n\nSo I would choose **A** here.",
            "A",
        ),
        options=O17,
    ),
    *_rows(
        "boxed",
        ("The final answer is \\(\\boxed{B}\\).", "B"),
        ("\\boxed{\\text{Answer: A}}", "A"),
        ("\\boxed{Spleen}", "C"),
        ("\\boxed{b}", "B"),
        ("\\boxed{5}", None),
        (
            "So the answer: $\\boxed{\\mathbf{A}}$ (Kidney), since glomeruli are visible; B "
            "has none.",
            "A",
        ),
        ("Let me box it: \\boxed{\\mathrm{(D)}}", "D"),
        options=O16,
    ),
    *_rows(
        "json",
        ('{"reasoning":"Glomeruli","answer":"A"}', "A"),
        ('{"answer_option": "C"}', "C"),
        ('Sure:\n```json\n{"answer": "D", "why": "acini, unlike B"}\n```\nHope it helps.', "D"),
        ('{"answer": "Liver"}', "B"),
        ('{"answer": "A or C"}', None),
        ('{"result": {"answer": "C"}}', "C"),
        ('{answer: "B"}', "B"),
        ('{"choices": ["A", "B", "C", "D"]}', None),
        ('<json>{"answer":"C"}</json>', "C"),
        options=O16,
    ),
    *_rows(
        "chinese",
        ("答案为B", "B"),
        ("选择A", "A"),
        ("我选D", "D"),
        ("综合三个倍数的图像，C最符合。", "C"),
        ("最佳答案应为D选项。", "D"),
        ("对不起，图像不清晰，我无法回答。", None),
        ("最可能的是纤维化。", "B"),
        ("答案不是B。", None),
        ("（A）坏死", "A"),
        options=O20,
    ),
    *_rows(
        "not-but",
        ("It can't be A or C. It has to be D.", "D"),
        ("I would have said A, but the sinusoids make B the right answer.", "B"),
        ("Although A is often chosen, this is actually B.", "B"),
        ("I do not agree that the answer is B.", None),
        ("The answer is C rather than D.", "C"),
        ("Nothing here supports A; everything supports C.", "C"),
        ("We can rule out A and D. Of B and C, C is favoured by the white pulp.", "C"),
        ("One would be wrong in choosing C here.", None),
        ("No evidence for A, B or D is present; C is therefore correct.", "C"),
        ("A is wrong.", None),
        options=O16,
    ),
    *_rows(
        "list",
        (
            "A. Kidney: glomeruli absent.\nB. Liver: plates absent.\nC. Spleen: white pulp "
            "absent.\nD. Pancreas: acini present.\n\nBest answer: D.",
            "D",
        ),
        (
            "Comparing the options:\n\n| Option | Fits? |\n|---|---|\n| A | no |\n| B | no "
            "|\n| C | yes |\n| D | no |\n\n**C**",
            "C",
        ),
        ("Which organ is this? A. Kidney B. Liver C. Spleen D. Pancreas", None),
        ("A: 10%\nB: 15%\nC: 70%\nD: 5%", None),
        (
            "First option: no. Second option: no. Third option: no. Fourth option: yes.\n\n"
            "Answer: (D)",
            "D",
        ),
        options=O16,
    ),
    *_rows(
        "list",
        (
            "Let me evaluate the statements.\nA: The cluster has no germinal centre. "
            "Incorrect.\nB: Small groups of cells at the invasive front. Correct.\nC: No "
            "smearing. Incorrect.\nD: No calcium. Incorrect.",
            "B",
        ),
        ("Option A – possible.\nOption B – possible.\nOption C – less so.\nOption D – no.", None),
        options=O21,
    ),
    *_rows(
        "list",
        (
            "Eosinophils (A) have bilobed nuclei. Neutrophils (B) are multilobed. Plasma "
            "cells (C) show a clock-face nucleus. Mast cells (D) are granular. Macrophages "
            "(E) are foamy.",
            None,
        ),
        options=O17,
    ),
    *_rows(
        "list",
        (
            "Stage I needs confinement to the mucosa. Stage II would extend to muscle. Stage "
            "III has nodal spread, which is what the subcapsular deposits show. Stage IV "
            "needs distant spread. I therefore select Stage III.",
            "C",
        ),
        options=O22,
    ),
    *_rows(
        "option-text",
        ("The pattern is best graded as Gleason 4+3=7.", "C"),
        options=O18,
    ),
    *_rows(
        "option-text",
        ("This is a blue naevus.", "C"),
        ("Most likely melanoma.", "A"),
        ("It looks like basal cell carcinoma to me.", "D"),
        ("Melanoma vs Spitz naevus", None),
        ("Melanoma is excluded.", None),
        ("Not melanoma but Spitz naevus.", "B"),
        options=O19,
    ),
    *_rows(
        "option-text",
        ("Neither A-type nor B-type nuclei", "D"),
        options=O23,
    ),
    *_rows(
        "option-text",
        ("A and B cells", "A"),
        options=O24,
    ),
    *_rows(
        "option-text",
        ("All of the above", "A"),
        ("The answer is none of the above.", "D"),
        options=O25,
    ),
    *_rows(
        "option-text",
        ("The lesion is malignant.", "B"),
        options=O26,
    ),
    *_rows(
        "option-text",
        ("The statement is false.", "B"),
        options=O27,
    ),
    *_rows(
        "option-text",
        ("The dark cluster at low power is tumour budding", "B"),
        options=O21,
    ),
    *_rows(
        "option-text",
        ("Stage III", "C"),
        options=O22,
    ),
    *_rows(
        "option-text",
        ("Neutrophils are absent.", None),
        options=O17,
    ),
    *_rows(
        "open-thought",
        ("<think>", None),
        ("<think>…</think>", None),
        ("<think>A</think><answer>", None),
        ("<think>B?</think> The images show white pulp, so the correct option is C.", "C"),
        ("Answer: D\n<think>let me double-check whether", "D"),
        ("◁think▷ maybe A ◁/think▷ The answer is **D**.", "D"),
        options=O16,
    ),
    *_rows(
        "refusal",
        ("I apologize, but I'm not able to analyse medical images.", None),
        ("There is no image attached, so I can't answer.", None),
        ("I would need a PAS stain to decide between A and D.", None),
        ("Please upload the image again.", None),
        ("I'm not comfortable picking an option.", None),
        ("I can't see the images, but based on the text alone I would choose C.", "C"),
        ("The answer is unclear.", None),
        ("The correct answer is none of the options.", None),
        ("Skip", None),
        options=O16,
    ),
    *_rows(
        "error",
        ("Error: model_overloaded", None),
        ("502 Bad Gateway", None),
        ("Request timed out.", None),
        ("[ERROR] failed: option C", None),
        ("NaN", None),
        ("assistant assistant assistant", None),
        ("0", None),
        options=O16,
    ),
    *_rows(
        "several",
        ("A & D", None),
        ("Answers: A and C", None),
        ("B/C, hard to say", None),
        ("C? No, B.", "B"),
        ("A. No wait, B.", "B"),
        ("A\nB\nC\nD", None),
        ("I pick A... or maybe C.", None),
        ("Answer: B (second best: D)", "B"),
        options=O16,
    ),
    *_rows(
        "letter",
        ("I", "I"),
        options=O28,
    ),
    *_rows(
        "letter",
        ("C ", "C"),
        ("OPTION D", "D"),
        ("I'd answer D.", "D"),
        ("I am going with B", "B"),
        ("Probably C, given the white pulp.", "C"),
        ("Yes, A.", "A"),
        ("The B lymphocytes are in the white pulp.", None),
        ("Image A and image C are from the same slide.", None),
        ("C!", "C"),
        ("Answer is (d)", "D"),
        ("The answer would have to be A.", "A"),
        ("Looks like A to me.", "A"),
        ("Let's go with C", "C"),
        options=O16,
    ),
    *_rows(
        "letter",
        ("Based on the images, C is the most accurate statement.", "C"),
        ("B. The dark cluster at low power is tumour budding", "B"),
        options=O21,
    ),
    *_rows(
        "long",
        (
            "The low-power image shows a nodular lesion with a dense blue rim. At mid power, "
            "the rim resolves into small round cells. At high power the cells have a thin "
            "rim of cytoplasm and clumped chromatin, and there is a germinal centre with "
            "tingible-body macrophages.\n\nConsidering the statements: A says that the "
            "cluster is a lymphoid aggregate, and that agrees with the germinal centre. B "
            "would require epithelial cells, which I don't see. C would require smeared "
            "nuclei. D would require purple, refractile material.\n\nGiven the above, "
            "statement A is supported by the evidence.",
            "A",
        ),
        options=O21,
    ),
    *_rows(
        "long",
        (
            "Okay, let me look at this carefully. We have a prostate biopsy. Pattern 3 "
            "glands are present, well formed. Pattern 4 glands are present as well, fused. "
            "Which one dominates? In the low-power view I estimate 70% fused. So 4 is "
            "primary and 3 is secondary.\n\nA: 3+3=6 ignores the fused glands.\nB: 3+4=7 has "
            "the order wrong.\nC: 4+3=7 matches.\nD: 4+4=8 ignores the well-formed glands.\n"
            "\nAnswer: C",
            "C",
        ),
        options=O18,
    ),
    *_rows(
        "long",
        (
            "## Step-by-step\n\n**Step 1 – Low.** The epidermis is effaced.\n**Step 2 – "
            "Mid.** Nests of melanocytes vary in size.\n**Step 3 – High.** Pagetoid spread, "
            "mitoses; no dermal component.\n\n## Differential\n- Melanoma (A) — needs dermal "
            "invasion ❌\n- Spitz naevus (B) — symmetric, Kamino bodies ❌\n- Blue naevus (C) "
            "— dermal ❌\n- Basal cell carcinoma (D) — palisading ❌\n- Melanoma in situ (E) — "
            "confined ✅\n- Seborrhoeic keratosis (F) — horn cysts ❌",
            "E",
        ),
        options=O19,
    ),
    *_rows(
        "long",
        (
            "I looked for A first because kidney is the commonest organ in this sort of set, "
            "and a round structure at the top could be a glomerulus. On the high-power view, "
            "however, it is an islet: no capsule, no capillary loops. Around it lie acini "
            "with zymogen granules. A liver would have plates and a spleen would have red "
            "pulp. I am going with the pancreas.",
            "D",
        ),
        (
            "The section is heavily stained and I cannot make out nuclear detail. If the "
            "round structures are glomeruli, A would be correct; if they are islets, D would "
            "be. A higher magnification is needed to be certain.",
            None,
        ),
        options=O16,
    ),
    *_rows(
        "long",
        (
            "Question analysis: the question asks which quadrant holds the necrotic focus. "
            "In the top-left there is viable tumour. In the top-right there is fat. The "
            "bottom-left quadrant has pink granular debris with ghost cells. The "
            "bottom-right quadrant holds a vessel. Necrosis is thus in the bottom-left "
            "quadrant, i.e. option C.",
            "C",
        ),
        options=O29,
    ),
]
