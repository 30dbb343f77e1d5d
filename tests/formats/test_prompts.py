"""Requests for tags in prompts: what is taken out, what stays, and what is told."""

import pytest

from virgo_factory.formats import Options, read_row
from virgo_factory.formats.any_row.prompts import (
    TAKEN_OUT,
    asks_for_less,
    asks_for_tags,
    without_request,
)
from virgo_factory.formats.any_row.rendered_prompt import UNFRAMED, ends_with_speaker


ASKED = "How many dots are red?"
REQUESTS = {
    "EasyR1": "You FIRST think about the reasoning process as an internal monologue and then provide the final answer. The "
    "reasoning process MUST BE enclosed within <think> </think> tags.",
    "EasyR1, r1v": "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
    "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. The "
    "reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., "
    "<think> reasoning process here </think><answer> answer here </answer>",
    "VLM-R1": "First output the thinking process in <think> </think> tags and then output the final answer in <answer> "
    "</answer> tags.",
    "R1-V": "Output the thinking process in <think> </think> and final answer (number) in <answer> </answer> tags.",
    "Video-R1": "Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue "
    "using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural "
    "language thought expressions It's encouraged to include self-reflection or verification in the reasoning process. "
    "Provide your detailed reasoning between the <think> </think> tags, and then give your final answer between the <answer> "
    "</answer> tags. Please provide only the single option letter (e.g., A, B, C, D, etc.) within the <answer> </answer> tags.",
    "Video-R1, number": "Please provide the numerical value (e.g., 42 or 3.14) within the <answer> </answer> tags.",
    "Open-R1": "Respond in the following format: <think>\n...\n</think>\n<answer>\n...\n</answer>",
    "a pattern in lines of its own": "Respond in the following format:\n<think>\n...\n</think>\n<answer>\n...\n</answer>",
    "LongPerceptualThoughts": "A conversation between User and Assistant. The user asks a visual question, and the Assistant solves it. The "
    "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. The "
    "reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., "
    "<think> reasoning process here </think> <answer> answer here </answer>.",
    "Sky-T1": "Your role as an assistant involves thoroughly exploring questions through a systematic long thinking process before "
    "providing the final precise and accurate solutions. This requires ... {sections} <|begin_of_thought|> {{thought}} "
    "<|end_of_thought|> Each step ... formatted as follows: <|begin_of_solution|> {{final}} <|end_of_solution|> "
    "Now, try to solve the following question through the above guidelines:",
    "Mulberry": "Generate an image description based on the question.\nThen, provide a rationale to analyze the question.\nNext, "
    "generate a step-by-step reasoning process to solve the problem. Ensure the steps are logical and concise.\nFinally, "
    "provide a concise summary of the final answer in the following format: 'The final answer is: xxx.\n\nFormat your "
    "response with the following sections, separated by ###:\n### Image Description:\n### Rationales:\n### Let's think "
    "step by step.\n### Step 1:\n### Step 2:\n...\n### The final answer is:",
    "SmolTalk2": "Your role as an assistant involves thoroughly exploring questions through a systematic thinking process before "
    "providing the final precise and accurate solutions. Please structure your response into two main sections: Thought and "
    "Solution using the specified format: <think> Thought section </think> Solution section. In the Thought section, detail your "
    "reasoning process in steps. The Solution section should detail necessary steps needed to reach the conclusion.",
    "DeepHermes": "You should enclose your thoughts and internal monologue inside <think> </think> tags, and then provide "
    "your solution or response to the problem.",
    "InternVL": "Enclose this entire thinking process within <think> and </think> tags.",
    "ans": "Place your final answer between <ans> and </ans>.",
    "an opening tag alone": "Always begin your reply with <think>.",
    "thinking": "Put your thoughts into <thinking> and </thinking>.",
    "scratchpad": "Write your reasoning in <scratchpad></scratchpad>, then the answer in <answer></answer>!",
    "reasoning": "Your response must contain <reasoning> ... </reasoning> and <answer> ... </answer>.",
    "in backticks": "Use `<think>` and `</think>` tags to wrap your reasoning.",
    "Mistral's": "Your thinking process must be placed between [THINK] and [/THINK].",
    "Kimi's": "Wrap your thoughts in ◁think▷ and ◁/think▷.",
    "Chinese": "请将思考过程放在<think></think>标签中，最终答案放在<answer></answer>标签中。",
    "let us": "Let's think step by step within <think> </think>, then reply.",
    "remember": "Remember: reasoning goes between <think> and </think>; the answer goes after it.",
    "every": "Begin every reply with a deep chain of thought in <think> tags.",
    "headings": "Structure your answer with ## Thinking and ## Answer.",
    "headings in lines of their own": "Use the following structure:\n## Thinking\n...\n## Answer\n...",
    "headings by name": "Write your reasoning under the heading 'Reasoning' and your final answer under 'Final Answer'.",
    "bold headings": "Start with **Thinking** and finish with **Answer**.",
    "words with a colon": "Begin with 'Thought:' and end with 'Answer:'.",
    "words with a colon, written out": "Reply in the format: 'Reasoning: <your reasoning> Answer: <your answer>'.",
    "JSON": "Respond in JSON with keys thought, answer.",
    "JSON, quoted": 'Your output must be valid JSON with two fields: "reasoning" and "answer".',
    "JSON, written out": 'Output a JSON object: {"reasoning": "...", "answer": "..."}',
    "JSON in a fence": 'Respond in the following JSON format:\n```json\n{\n  "thought": "...",\n  "answer": "..."\n}\n```',
    "YAML": "Provide your response in YAML with fields reasoning and answer.",
    "square brackets": "Use [THOUGHT] and [ANSWER] tags.",
    "closed square brackets": "Wrap your reasoning in [reasoning] [/reasoning].",
    "curly braces": "Enclose your thoughts in {think} and {/think}.",
    "XML tags": "Please use the XML tags <reasoning> and <answer>.",
    "Chinese JSON": "请用JSON格式回答，包含thought和answer两个字段。",
    "Chinese tags": "请在<思考></思考>标签中思考，在<答案></答案>中给出答案。",
    "Chinese, an opening tag": "你的回答必须以<think>开头。",
    "Chinese words with a colon": "请以“思考：”和“答案：”的格式回答。",
    "the answer in its tag": "Put the final answer between <answer> and </answer>.",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize(
    "prompt", ["{r} {q}", "{r}\n{q}", "{q} {r}", "{q}\n\n{r}", "Look. {r} {q}", "<image>{r} {q}", "<image>\n{q}\n{r}"]
)
def test_a_request_is_taken_out_wherever_it_stands(request_, prompt):
    if request_[-1] not in ".!。" or request_.endswith(
        "..."
    ):  # a pattern of tags: what follows it has a line of its own
        prompt = prompt.replace("{r} {q}", "{r}\n{q}")

    left = without_request(prompt.format(r=request_, q=ASKED))
    assert "".join(left.split()) == "".join(prompt.format(r="", q=ASKED).split()) and asks_for_tags(left) == ""
    assert left.startswith("<image>") == prompt.startswith("<image>")


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_system_message_of_a_request_alone_is_none(request_):
    row = _row(ASKED, {"role": "system", "content": request_})
    (example,) = read_row(row, "long_thought").parts
    assert example.system is None and example.notes == (TAKEN_OUT,)
    row["messages"][0]["content"] = f"Be brief. {request_}"
    assert read_row(row, "long_thought").parts[0].system == "Be brief."
    row = _row(ASKED, system=f"{request_}\n\nBe kind.")
    assert read_row(row, "long_thought").parts[0].system == "Be kind."


SWITCHES = [
    ("detailed thinking on", ""), ("Detailed thinking off.", ""), ("Be brief.\ndetailed thinking on", "Be brief."),
    (f"{ASKED} /think", ASKED), (f"{ASKED} /no_think", ASKED), (f"/think {ASKED}", ASKED), (f"{ASKED}\n/nothink", ASKED),
    ("Enable thinking mode.", ""), ("Enable deep thinking.\nBe brief.", "Be brief."),
    ("Use deep reasoning.", None),
    ("Be brief. Enable thinking mode. Be kind.", "Be brief. Be kind."), (f"{ASKED}\n/think\nSay why.", f"{ASKED}\nSay why."),
    ("You are helpful. detailed thinking on", "You are helpful."), ("Thinking mode: on", ""), ("enable_thinking=True", ""),
    ("Please turn on deep thinking mode!", ""), ("Use extended thinking mode.", ""), ("Reasoning effort: low", ""),
    ("reasoning: on", ""), ("Deep thinking is enabled.", ""), ("How do I enable thinking mode in Qwen3?", None),
    ("What does /think do?", None), ("The sensor is on.", None), ("Is reasoning on", None), ("thinking on your feet", None),
    ("Reasoning: all men are mortal.", None), ("Is he thinking true", None), ("Use thinking mode to solve it.", None),
    ("Reasoning: high\nBe brief.", "Be brief."), ("Enable deep thinking subroutine.\n\nBe brief.", "Be brief."),
    ("The path a/think is free.", "The path a/think is free."), ("cd /think && ls", "cd /think && ls"),
    ("He spoke of detailed thinking on maths.", "He spoke of detailed thinking on maths."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), SWITCHES)
def test_switches_of_hybrid_models_are_taken_out(text, left):
    assert without_request(text, may_be_empty=True) == (text if left is None else left)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{ASKED} The final answer must be in \\boxed{{}}.", None),
        ("Please reason step by step, and put your final answer within \\boxed{}.", None),
        (f"Think in <think></think>. {ASKED} Put it in \\boxed{{}}.", f"{ASKED} Put it in \\boxed{{}}."),
        (f"{ASKED} Think in <think></think> tags and put your final answer within \\boxed{{}}.", f"{ASKED} Put the final answer in \\boxed{{}}."),
        (f"{ASKED} Put the final answer as <answer>\\boxed{{...}}</answer>.", f"{ASKED} Put the final answer in \\boxed{{}}."),
    ],
)  # fmt: skip
def test_a_request_for_a_box_stays(text, left):
    assert without_request(text) == (left or text)


STAYS = {
    # text: whether it is told
    "How is <b>bold</b> written in HTML? Put <b> and </b> around the word.": False,
    "What is in the XML file? The file has <question> and <answer> tags. Put the answer between <answer> and </answer>.": False,
    "```xml\n<answer>4</answer>\n```\nWhich value is between the <answer> tags?": False,
    "```\nPut your reasoning in <think></think>.\n```\nWhat does this prompt do?": False,
    "What does the <think> tag of R1 mean?": True,
    "Write a regex that extracts the text between <think> and </think>. It is to be short.": True,
    "I read of R1. Explain the <think> tag.": True,
    "Count the tokens in <think>a b</think>. Then stop.": True,
    "Let x be a number. Find the smallest x, reasoning in <think></think>.": True,
    "Solve 2x = 6 and put your reasoning in <think></think>. Be brief.": True,
    "Put your reasoning between <think> and </think>.": True,  # there is nothing else in it
    "Is a <think> tag, or an <answer> tag, in the picture?": True,
    "Which of the lines is longer? A <output> B": False,
    'What is the JSON key of the answer in {"answer": 4}?': False,
    "Write an essay with the headings ## Introduction and ## Conclusion.": False,
    "Respond in JSON with keys name, age.": False,
    "In the document, which heading follows '## Thinking'?": False,
    "What does 'Thought:' mean in ReAct?": False,
    "Explain what chain of thought reasoning is.": False,
    "I do not think so. Is it right?": False,
    "Translate: 'Structure your answer with ## Thinking and ## Answer.'": True,
    "Respond in JSON with keys thought, answer, confidence and the name of the animal.": True,
    "Name the animal. Answer without any reasoning.": True,
    "Which is larger?\nDo not think, answer directly.": True,
    "Find the summary of the text.": False,
    "Compute <x> and <y> where x < y.": False,
    "Look at the picture, then begin your answer with the colour.": False,
    "<|begin_of_thought|> is a marker. What is it for?": False,
    "What is 1 + 1?\nLet's think step by step. <|begin_of_thought|>\n": True,
    "Use the tags SUMMARY and CAPTION: <SUMMARY></SUMMARY><CAPTION></CAPTION>.\nWhat is 1 + 1?": True,
    "In HTML, what is <caption> for, and <summary>?": False,
    "1 + 1 等于几？请直接给出答案，不要解释。": True,
    "1 + 1 等于几？无需推理，只写结果。": True,
    "(1) 求点P。(2) 直接写出结果。": False,
    "请解释为什么 1 + 1 = 2，不要漏掉步骤。": False,
    "小明直接回答了3题，共有几题？": False,
}  # fmt: skip


@pytest.mark.parametrize("text", ["You are in thinking mode.", "Set enable_thinking to true, then solve it: 1 + 1"])
def test_a_switch_inside_of_a_sentence_is_told(text):
    assert without_request(text, may_be_empty=True) == text and asks_for_tags(text)


@pytest.mark.parametrize(("text", "is_told"), STAYS.items())
def test_what_may_be_a_question_of_its_own_stays_and_is_told(text, is_told):
    assert without_request(text) == text and bool(asks_for_tags(text)) is is_told


LONG_SOLUTION = "We look at each of them in turn. " * 9


@pytest.mark.parametrize(
    "request_",
    ["Answer the question using a single word or phrase.", "Answer with the option's letter from the given choices directly.",
     "Respond with a single letter, please", "Answer with a single number."],
)  # fmt: skip
def test_a_request_for_a_word_is_told_where_the_solution_is_long(request_):
    question = f"What is 3 + 4?\n{request_}"
    assert request_.rstrip(".") in asks_for_less(question, LONG_SOLUTION)
    assert asks_for_less(question, "It is 7.") == asks_for_less("What is 3 + 4?", LONG_SOLUTION) == ""


@pytest.mark.parametrize(
    "question",
    ["Why does a single letter have two answers?", "Which acts directly on the answer?", "A single man answered a letter. Why?", "Answer the letter of Ann in a single week. How?"],
)  # fmt: skip
def test_what_asks_for_no_short_answer_is_not(question):
    assert asks_for_less(question, LONG_SOLUTION) == ""


THINK = "<think>\nA.\n</think>\n\nIt is A."


def _row(question, *before, response=THINK, **columns):
    messages = [*before, {"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return {"id": "p", "messages": messages, **columns}


def test_requests_are_taken_out_of_every_turn_and_layout():
    asked = f"{ASKED} {REQUESTS['R1-V']}"
    row = _row(asked)
    row["messages"] *= 2
    (example,) = read_row(row, "long_thought").parts
    assert [turn.question for turn in example.turns] == [ASKED, ASKED] and example.notes == (TAKEN_OUT,)
    for row in (
        {"question": asked, "response": "<think>\nA.\n</think>\n\nA"},
        {"question": asked, "thought": "A.", "solution": "A"},
        {"question": asked, "generations": ["<think>\nA.\n</think>\n\nA"], "correctness_math_verify": [True]},
        {"instruction": asked, "thinking": ["A."], "text": ["A"]},
    ):
        (example,) = read_row(row, "long_thought").parts
        assert (example.question, example.notes) == (ASKED, (TAKEN_OUT,))


def test_a_row_that_keeps_its_tags_keeps_the_request_for_them():
    row = _row(f"{ASKED} {REQUESTS['R1-V']}", response="<think>\nA.")
    (example,) = read_row(row, "long_thought", Options(keep_malformed=True)).parts
    assert example.question.endswith("</answer> tags.") and example.notes == ()


@pytest.mark.parametrize("text", ["<|think|>\nHow many?", "<|think|> How many?"])
def test_the_token_that_switches_gemmas_thought_on_is_taken_out_in_front(text):
    row = {"question": "How many?", "response": "<think>\nI look.\n</think>\n\nOne."}
    (example,) = read_row(row | {"question": text}, "long_thought").parts
    assert example.question == "How many?" and TAKEN_OUT in example.notes
    (example,) = read_row(row | {"question": "What is <|think|>?"}, "long_thought").parts
    assert example.question == "What is <|think|>?"


FRAMES = [
    # (question, the question that is read, the system message)
    (f"system\nYou are a helpful assistant.\nuser\n{ASKED}\nassistant\n", ASKED, "You are a helpful assistant."),
    (f"system\n\nBe kind.user\n\n{ASKED}assistant\n\n", ASKED, "Be kind."),
    (f"user\n{ASKED}\nassistant\n<think>\n", ASKED, None),
    (f"user\n{ASKED}\nmodel\n", ASKED, None),
    (f"system\n{REQUESTS['R1-V']}\nuser\n{ASKED}\nassistant\n", ASKED, None),
    (f"<image>\nuser\n{ASKED}\nassistant", f"<image>{ASKED}", None),
    (f"User: {ASKED}\nAssistant:", ASKED, None),
    (f"Human: {ASKED}\n\nWhich are blue?\n\nAssistant: <think>", f"{ASKED}\n\nWhich are blue?", None),
    (f"{REQUESTS['EasyR1, r1v']}. User: {ASKED} Assistant: <think>", ASKED, None),
    (f"A chat between a user and an assistant. USER: {ASKED} ASSISTANT:", ASKED, "A chat between a user and an assistant."),
    (f"### Instruction:\n{ASKED}\n\n### Response:\n", ASKED, None),
    (f"Below is an instruction that describes a task.\n\n### Instruction:\n{ASKED}\n\n### Input:\nA table.\n\n### Response:", f"{ASKED}\nA table.", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "asked", "system"), FRAMES)
def test_a_question_is_read_out_of_a_whole_rendered_prompt(text, asked, system):
    row = {"question": text, "response": THINK} | ({"images": ["a.png"]} if "<image>" in text else {})
    (example,) = read_row(row, "long_thought").parts
    assert (example.question, example.system) == (asked, system) and UNFRAMED in example.notes


UNCERTAIN = [
    (f"Go on:\nUser: {ASKED}\nAssistant:", "Assistant:"),
    (f"User: Hi\nAssistant: Hello\nUser: {ASKED}\nAssistant:", "Assistant:"),
    (f"Be kind.\nuser\n{ASKED}\nassistant", "assistant"),
    (f"user\nHi\nassistant\nHello\nuser\n{ASKED}\nassistant\n", "assistant"),
    (f"{ASKED}\n### Response:\n", "Response:"),
    ("How does a medical assistant help?\nThe user: nobody.", ""),
    ("Who is a better assistant", ""),
    ("Which is a language model", ""),
    ("Which is a language\nmodel", ""),
    ("Describe the user and the assistant.", ""),
    ("User: Tom\nRole: admin\nIs he an admin?", ""),
    ("Question: How many?\nAnswer:", ""),
    ("Which line is right?\nuser\nassistant\n", "assistant"),
]


@pytest.mark.parametrize(("text", "name"), UNCERTAIN)
def test_a_prompt_that_may_be_more_than_a_frame_stays_and_is_told(text, name):
    (example,) = read_row(_row(text), "long_thought").parts
    assert example.question == text and ends_with_speaker(example.question) == name


@pytest.mark.parametrize("text", ["user\n<image>\nassistant\n", "system\nSee <image>.\nuser\nHow many?\nassistant\n"])
def test_a_frame_without_a_question_or_with_a_picture_elsewhere_stays(text):
    (example,) = read_row(_row(text, images=["a.png"]), "long_thought").parts
    assert example.question.strip() == text.strip() and example.system is None


def test_a_frame_with_another_system_message_stays():
    text = f"system\nBe kind.\nuser\n{ASKED}\nassistant"
    row = {"question": text, "response": THINK}
    (example,) = read_row(row | {"system": "Be brief."}, "long_thought").parts
    assert (example.question, example.system) == (text, "Be brief.")
    (example,) = read_row(row | {"system": "Be kind."}, "long_thought").parts
    assert (example.question, example.system) == (ASKED, "Be kind.")
