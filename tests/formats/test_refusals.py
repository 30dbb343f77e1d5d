"""Solutions that say nothing, or refuse to, are told in any language; short answers with the same words are answers."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import read_row
from virgo_factory.formats.any_row.refusals import no_answer


def read(solution, thought="I add 1 and 3, which gives 4.", question="Which is it?"):
    row = {"question": question, "response": f"<think>\n{thought}\n</think>\n\n{solution}"}
    (part,) = read_row(row, "long_thought").parts
    assert isinstance(part, Example)
    return part


NO_ANSWER = [
    "N/A",
    "undefined",
    "...",
    "TODO",
    "No answer found.",
    "I'm sorry, but I can't help with that.",
    "Sorry, I can't help with images of people yet.",
    "I cannot answer the question because I do not see any image. Can you please send it again?",
    "As an AI, I am not able to assist with this request.",
    "对不起，我无法回答这个问题。",
    "As an AI language model, I cannot view images.",
    "I don't have enough information to solve this.",
    "Unfortunately no picture was attached, so I cannot answer.",
    "很抱歉，我看不到图片。",
    "题目信息不足，无法作答。",
    "Es tut mir leid, aber ich kann das Bild nicht sehen.",
    "Je suis désolé, je ne peux pas répondre à cette question.",
    "Lo siento, no puedo ayudar con eso.",
    "Desculpe, não consigo ver a imagem.",
    "Mi dispiace, non posso aiutarti.",
    "申し訳ありませんが、画像を表示できません。",
    "죄송하지만 이미지를 볼 수 없습니다.",
    "Извините, я не могу помочь с этим.",
    "عذراً، لا أستطيع المساعدة.",
    "Przepraszam, nie mogę pomóc.",
    "Üzgünüm, bu konuda yardımcı olamam.",
    "Xin lỗi, tôi không thể giúp.",
    "क्षमा करें, मैं मदद नहीं कर सकता।",
    "Maaf, saya tidak bisa membantu.",
    "placeholder",
]
BLANK = [
    "\\boxed{}",
    "The answer is \\boxed{}.",
    "\\boxed{?}",
    "**Final Answer:** None",
    "Thus, the answer is $\\boxed{\\text{None}}$.",
    "\\boxed{your answer}",
]
ANSWERS = ["None of them.", "no", "It cannot be determined.", "Unknown", "-", "<", "I'm sorry that this is late: it is 4, which may help.",
           "Unfortunately there are 3.", "Sorry is the word that she says.", "无法判断", "0", "[]", "I cannot be 5.",
           "I don't have 5, so it is 4.", "No picture was drawn.", "The triangle cannot be drawn, so the number is 0.", "信息不足", "两个条件不足，选 C。", "他没有提供图书。", "看不到的那一面是 4。",
           "Nein, er kann es nicht sehen.", "Il ne peut pas voir 4.", "No puedo comer 4 manzanas.", "Non posso mangiarne 4.", "見えません", "볼 수 없다", "Он не может помочь.",
           "Nie mogę jeść jabłek.", "Tôi không thể ăn.", "Tidak bisa.", "Is it \\boxed{?}", "The answer is x?", "The answer is zero.", "Just an answer.", "This is no answer?"]  # fmt: skip


@pytest.mark.parametrize("solution", NO_ANSWER)
def test_a_solution_that_says_nothing_is_told(solution):
    (example,) = read_row(
        {"question": "What is 3 + 4?", "response": f"<think>It is 7.</think>\n\n{solution}"}, "long_thought"
    ).parts
    (finding,) = row_findings(example, ())
    assert (finding.code, finding.severity, finding.detail) == ("no_answer", "warning", solution)
    (finding,) = row_findings(read(solution), ())  # a question that may be one to refuse
    assert finding.severity == "info"
    row = {"question": "What is 3 + 4?", "response": f"<think>So it is: {solution}</think>\n\n{solution}"}
    assert row_findings(read_row(row, "long_thought").parts[0], ()) == ()


@pytest.mark.parametrize("solution", BLANK)
def test_a_box_or_phrase_without_an_answer_is_told_whatever_asks_for_it(solution):
    question = "What is 3 + 4? Put the final answer into \\boxed{}."
    (finding,) = (
        found
        for found in row_findings(read(solution, "I put it into \\boxed{}.", question), ())
        if found.code == "no_answer"
    )
    assert (finding.severity, finding.detail) == ("warning", solution)


def test_vision_r1s_word_for_no_answer_is_told():
    (finding,) = row_findings(read("<answer> Final Answer:None </answer>", question="3 + 4?"), ())
    assert (finding.code, finding.detail) == ("no_answer", "Final Answer:None")


@pytest.mark.parametrize("solution", ANSWERS)
def test_a_short_answer_is_one(solution):
    assert row_findings(read(solution), ()) == ()


@pytest.mark.parametrize(
    ("solution", "thought"),
    [("The answer is None.", "So none of them is."), ("\\boxed{\\text{undefined}}", "1 / 0 is undefined.")],
)
def test_a_word_for_nothing_that_was_found_is_an_answer(solution, thought):
    assert no_answer(solution, "Which?", thought) == ""
    assert no_answer(solution, "Which? 1", "I see 4.") == solution
