"""Sixty-eight layouts of published long-thought sets and of logs: what each gives, letter for letter.

The rows are invented; columns and tags are those that the cards name (or, for files of a project, its code).
"""

import json

import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats import Options, RejectedRow, kind_of, options_of, read_row
from virgo_factory.formats.families.llamav_o1 import STAGES


ASKED = "A box holds 3 red and 4 blue balls. How many balls are in it?"
THOUGHT = "Okay, 3 red ones.\n\nWait, and 4 blue ones: 3 + 4 = 7.  Check: 7 - 4 = 3."
SOLUTION = "There are 3 + 4 balls.\n\n**Answer:** \\boxed{7}"
LONG = LongThought(THOUGHT, SOLUTION)
THINK = f"<think>\n{THOUGHT}\n</think>\n\n{SOLUTION}"
THINK_ANSWER = f"<think>{THOUGHT}</think><answer>{SOLUTION}</answer>"
MARKED = LONG.render()
MULBERRY = "### Image Description:\nBalls.\n\n### Rationales:\nAdd.\n\n### Let's think step by step.\n\n### Step 1:\n3 + 4 = 7."
HEADINGS = f"{MULBERRY}\n\n### The final answer is: 7"
SECTIONS = "<SUMMARY> Add. </SUMMARY>\n\n<CAPTION> Balls. </CAPTION>\n\n<REASONING> 3 + 4 = 7. </REASONING>\n\n<CONCLUSION> 7 </CONCLUSION>"
OF_SECTIONS = LongThought("Add.\n\nBalls.\n\n3 + 4 = 7.", "7")
IMAGE = {"image": "a.png"}


def roles(answer, *, system=None, **fields):
    """Return messages in role/content."""
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": ASKED}, {"role": "assistant", "content": answer, **fields}]


def values(answer, user="human", assistant="gpt", system=None):
    """Return messages in from/value."""
    first = [{"from": "system", "value": system}] if system else []
    return [*first, {"from": user, "value": ASKED}, {"from": assistant, "value": answer}]


def four_stages():
    turns = zip([f"{ASKED}\n{STAGES[0]}", *STAGES[1:]], ["I add.", "Seven balls.", "3 + 4 = 7.", "7"], strict=True)
    return [m for q, a in turns for m in ({"from": "human", "value": q}, {"from": "gpt", "value": a})]


OPENR1 = {
    "problem": ASKED, "solution": "3+4", "answer": "7", "uuid": "u", "generations": [f"{THINK} And so on.", THINK],
    "is_reasoning_complete": [True, True], "correctness_math_verify": [True, True], "correctness_llama": None,
    "finish_reasons": None, "messages": roles(THINK),
}  # fmt: skip
COMCTS = {
    "gpt-4o": {"response": f"{HEADINGS} or 8", "value": 1.6, "is_correct": 1, "valid": 1},
    "qwen2_vl_7b": {"response": HEADINGS.replace("is: 7", "is: 8"), "value": 0.6, "is_correct": -1, "valid": 1},
    "qwen2_vl_72b": {"response": HEADINGS, "value": 0.7, "is_correct": 1, "valid": 1},
    "llama_vision_11b": {"response": "", "valid": -1},
    **IMAGE, "question": ASKED, "prefix_prompt": "### Image Description:", "conversations": values("Answer:7"),
}  # fmt: skip

READ = {
    # layout: (row, format, long thought)
    "alpaca_think": ({"instruction": "Count.", "input": ASKED, "output": THINK}, "think", LONG),
    "am_deepseek_r1_distilled": (
        {"messages": [{"role": "user", "content": ASKED, "info": {"source": "x"}},
                      {"role": "assistant", "content": THINK_ANSWER, "info": {"think_content": THOUGHT}}]},
        "think_answer", LONG),
    "bespoke_stratos_17k": ({"system": "Be good.", "conversations": values(MARKED, "user", "assistant")}, "four_markers", LONG),
    "bespoke_stratos_h4": ({"messages": roles(MARKED, system="Be good.")}, "four_markers", LONG),
    "chinese_r1_distill_110k": (
        {"input": ASKED, "reasoning_content": THOUGHT, "content": SOLUTION, "repo_name": "gsm8k", "score": 10},
        "thought_columns", LONG),
    "chinese_r1_distill_110k_sft": ({"instruction": ASKED, "input": "", "output": THINK, "score": 9}, "think", LONG),
    "codeforces_cots": ({"id": "1/A", "prompt": "p", "generation": THINK, "messages": roles(THINK), "finish_reason": "stop"}, "think", LONG),
    "deepmath_103k": (
        {"question": ASKED, "final_answer": "7", "difficulty": 5.0, "topic": "Counting", "r1_solution_1": f"{THOUGHT} Longer.",
         "r1_solution_2": THOUGHT, "r1_solution_3": f"{THOUGHT} Longest of all."},
        "thought_columns", LongThought(THOUGHT, "7")),
    "deepmath_103k_tags": (
        {"question": ASKED, "final_answer": "7", "difficulty": 5.0, "topic": "Counting", "r1_solution_1": f"{THINK} Longer.",
         "r1_solution_2": f"{THOUGHT}\n</think>\n\n{SOLUTION}", "r1_solution_3": f"{THINK} Longest."},
        "think", LONG),
    "dolphin_r1": (
        {"messages": roles("")[:1], "reasoning": THOUGHT, "answer": SOLUTION, "model": "deepseek-r1"}, "thought_fields", LONG),
    "gpt_oss": (
        {"reasoning_language": "English", "developer": "d", "user": ASKED, "analysis": THOUGHT, "final": SOLUTION,
         "messages": [{"role": "system", "content": "reasoning language: English", "thinking": None},
                      {"role": "user", "content": ASKED, "thinking": None},
                      {"role": "assistant", "content": SOLUTION, "thinking": THOUGHT}]},
        "thought_fields", LONG),
    "gpt_oss_channels": (
        {"messages": roles(f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{SOLUTION}<|return|>")},
        "harmony", LONG),
    "honey_data_1m": ({"id": 3, "conversations": values(THINK), "source": "honey"}, "think", LONG),
    "huatuo_headings": ({"question": ASKED, "response": f"## Thinking\n\n{THOUGHT}\n\n## Final Response\n\n{SOLUTION}"}, "thinking_headings", LONG),
    "kimi_think": ({"messages": roles(f"◁think▷{THOUGHT}◁/think▷{SOLUTION}")}, "think_triangles", LONG),
    "light_r1_sft": ({"conversations": values(THINK, "user", "assistant")}, "think", LONG),
    "llama_nemotron_post_training": (
        {"version": "v1", "input": [{"role": "user", "content": ASKED}], "output": THINK, "category": "math",
         "reasoning": "on", "system_prompt": "detailed thinking on", "used_in_training": "yes"}, "think", LONG),
    "llava_cot_100k": ({"id": "a", **IMAGE, "conversations": values(SECTIONS)}, "four_sections", OF_SECTIONS),
    "cauldron": ({"images": ["a.png"], "texts": [{"user": ASKED, "assistant": THINK, "source": "AI2D"}]}, "think", LONG),
    "qa_pairs": ({**IMAGE, "qa_pairs": [{"question": ASKED, "answer": THINK}]}, "think", LONG),
    "llava_cot_lower": ({"id": "a", **IMAGE, "conversations": values(SECTIONS.lower())}, "four_sections", LongThought("add.\n\nballs.\n\n3 + 4 = 7.", "7")),
    "llava_cot_no_image_tag": ({"id": "a", "conversations": values(SECTIONS)}, "four_sections", OF_SECTIONS),
    "llava_onevision_1.5": ({"id": "a", **IMAGE, "conversations": values(THINK)}, "think", LONG),
    "magistral": ({"messages": roles(f"[THINK]{THOUGHT}[/THINK]{SOLUTION}")}, "think_brackets", LONG),
    "medical_o1": ({"Question": ASKED, "Complex_CoT": THOUGHT, "Response": SOLUTION}, "huatuogpt_o1", LONG),
    "medreason": (
        {"dataset_name": "medqa", "id_in_dataset": 4, "question": ASKED, "answer": SOLUTION, "reasoning": THOUGHT,
         "options": "Answer Choices:\nA. 6\nB. 7"}, "thought_columns", LONG),
    "mixture_of_thoughts": ({"messages": roles(THINK), "num_tokens": 90, "source": "math"}, "think", LONG),
    "mmfinereason": (
        {"id": "m", "source": "geo", "question": ASKED, "answer": "7", **IMAGE, "original_question": ASKED,
         "qwen3vl_235b_instruct_caption": "Balls.", "qwen3vl_235b_thinking_response": THINK, "is_consistent": True},
        "think", LONG),
    "mmr1_sft": ({**IMAGE, "conversations": values(THINK_ANSWER)}, "think_answer", LONG),
    "mulberry_sft": ({"messages": roles(HEADINGS), "images": "a.png"}, "headings", LongThought(MULBERRY, "7")),
    "openai_api_log": (
        {"request": {"model": "r1", "messages": roles("")[:1]},
         "response": {"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": roles(SOLUTION, reasoning_content=THOUGHT)[1]}]}},
        "thought_fields", LONG),
    "openai_api_log_reasoning": ({"messages": roles(SOLUTION, reasoning=THOUGHT, reasoning_content=THOUGHT)}, "thought_fields", LONG),
    "openai_batch": (
        {"custom_id": "1", "body": {"messages": roles("")[:1]}, "response": {"status_code": 200, "body": {"choices": [
            {"message": roles(SOLUTION, reasoning=THOUGHT)[1], "finish_reason": "stop"}]}}}, "thought_fields", LONG),
    "openai_messages_choices": (
        {"messages": roles("")[:1], "choices": [{"message": roles(THINK)[1], "finish_reason": "stop"}]}, "think", LONG),
    "opencode_reasoning": (
        {"id": "o", "input": ASKED, "output": THINK, "source": "taco", "solution": "print(7)", "difficulty": "EASY"}, "think", LONG),
    "openmath_reasoning": (
        {"expected_answer": "7", "problem_type": "has_answer", "problem": ASKED, "generated_solution": THINK,
         "inference_mode": "cot", "pass_rate_72b_tir": "0.6"}, "think", LONG),
    "openmmreasoner_sft": (
        {"id": "w", "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]},
                                 {"role": "assistant", "content": [{"type": "text", "text": THINK_ANSWER}]}]},
        "think_answer", LONG),
    "openr1_math_220k": (OPENR1, "think", LONG),
    "openthoughts2_1m": ({"conversations": values(THINK, "user", "assistant"), "question": "q", "source": "s", "id": 4}, "think", LONG),
    "openthoughts3": ({"difficulty": 7, "domain": "math", "conversations": values(THINK)}, "think", LONG),
    "openthoughts_114k": ({"system": "s", "conversations": values(MARKED, "user", "assistant")}, "four_markers", LONG),
    "openvlthinker_sft": ({"conversations": values(THINK_ANSWER), **IMAGE}, "think_answer", LONG),
    "qwq_without_its_opening_tag": ({"prompt": ASKED, "completion": f"{THOUGHT}\n</think>\n\n{SOLUTION}"}, "think", LONG),
    "r1_distill_sft": (
        {"id": "i", "problem": ASKED, "source": "numina", "solution": "3+4", "verified": True, "quality_metrics": None,
         "reannotated_assistant_content": THINK, "reannotated_messages": roles(THINK)}, "think", LONG),
    "r1_distill_sft_v0": (
        {"id": "i", "problem": ASKED, "solution": "3+4", "verified": None, "reannotated_assistant_content": THINK}, "think", LONG),
    "r1_onevision": ({"messages": roles(THINK), "images": ["a.png"]}, "think", LONG),
    "r1_onevision_gpt": ({"id": "r", **IMAGE, "conversations": values(THINK)}, "think", LONG),
    "raiden_deepseek_r1": ({"prompt": ASKED, "reasoning": THOUGHT, "response": SOLUTION}, "thought_columns", LONG),
    "raiden_deepseek_r1_tags": ({"prompt": ASKED, "response": THINK}, "think", LONG),
    "reasoning_v1_20m": ({"conversations": values(THINK), "category": "c"}, "think", LONG),
    "s1k": (
        {"solution": "7", "question": ASKED, "cot_type": "math", "source_type": "s", "metadata": "{}", "cot": None,
         "thinking_trajectories": [THOUGHT], "attempt": SOLUTION}, "thought_columns", LONG),
    "s1k_1.1": (
        {"solution": "7", "question": ASKED, "cot_type": "math", "gemini_thinking_trajectory": "g", "gemini_attempt": "6",
         "deepseek_thinking_trajectory": THOUGHT, "deepseek_attempt": SOLUTION, "gemini_grade": "No",
         "deepseek_grade": "Yes", "deepseek_grade_reason": "It is 7."}, "s1k", LONG),
    "synthetic_1": ({"problem_id": "v", "messages": roles(THINK), "score": 1.0, "verification_info": "{}"}, "think", LONG),
    "thinking_tags": ({"messages": roles(f"<thinking>\n{THOUGHT}\n</thinking>\n\n{SOLUTION}")}, "thinking", LONG),
    "thinking_answer_tags": ({"messages": roles(f"<thinking>{THOUGHT}</thinking>\n<answer>{SOLUTION}</answer>")}, "thinking_answer", LONG),
    "video_r1_cot": (
        {"problem_id": 2, "problem": ASKED, "data_type": "image", "problem_type": "numerical", "options": [],
         "process": f"<think>{THOUGHT}</think>", "solution": f"<answer>{SOLUTION}</answer>"}, "think", LONG),
    "vision_r1_cold": ({"conversations": values(THINK_ANSWER), **IMAGE}, "think_answer", LONG),
    "vision_r1_cold_images": ({"conversations": values(THINK_ANSWER, "user", "assistant"), "images": ["a.png"]}, "think_answer", LONG),
    "vision_sr1_cold": (
        {"problem": ASKED, "solution": f"<description>Balls.</description>\n<think>{THOUGHT}</think>\n{SOLUTION}", **IMAGE},
        "description_think", LongThought(f"Balls.\n\n{THOUGHT}", SOLUTION)),
    "visual_cot_think_in_list": (
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ASKED}]},
                      {"role": "assistant", "content": [{"type": "text", "text": THINK_ANSWER}]}], **IMAGE},
        "think_answer", LONG),
    "vlaa_thinking_sft": ({"id": "c", **IMAGE, "question": ASKED, "gt": 7, "ds_answer": THINK, "caption": "c"}, "think", LONG),
    "generalthought": (
        {"question_id": 1, "question": ASKED, "reference_answer": "7", "prev_messages": None, "model_name": "r1",
         "model_answer": SOLUTION, "model_reasoning": THOUGHT, "task": "Counting"}, "thought_columns", LONG),
    "real_mulberry_comcts": (COMCTS, "headings", LongThought(MULBERRY, "7")),
    "chinese_columns": ({"问题": ASKED, "回答": THINK, "答案": "7", "类型": "数学"}, "think", LONG),
    "two_languages": ({"question": ASKED, "问题": "几个？", "response": THINK}, "think", LONG),
    "lm_eval_sample": (
        {"doc_id": 1, "doc": {"question": ASKED, "answer": "#### 7"}, "target": "7", "arguments": [[f"Q: {ASKED}\nA:", {}]],
         "resps": [[THINK]], "filtered_resps": ["7"], "exact_match": 1.0}, "think", LONG),
    "real_llamav_o1": ({"conversations": four_stages()}, "four_stages", LongThought("I add.\n\nSeven balls.\n\n3 + 4 = 7.", "7")),
}  # fmt: skip

REFUSED = {
    # layout: (row, reason, words of the detail)
    "limo": ({"question": ASKED, "solution": f"{THOUGHT} {SOLUTION}", "answer": "7"}, "no thought in the row",
             '"columns": {"question": "question", "thought": "solution", "solution": "answer"}'),
    "mm_eureka": ({"id": "1", "message": json.dumps(roles("")[:1]), "answer": "7"}, "no response to the last question", "1 messages"),
    "skywork_or1_rl": ({"data_source": "math", "prompt": roles("")[:1], "ability": "math", "reward_model": {"ground_truth": "7"}},
                       "no response to the last question", "1 messages"),
    "vision_sr1": ({"images": ["a.png"], "problem": ASKED, "answer": "7"}, "no thought in the row", "no tags part a thought"),
    "s1k_tokenized": ({"text": f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>think\n{THOUGHT}"},
                      "the row is the text of a chat template", "as it was before"),
    "harmony": ({"text": f"<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>{ASKED}<|end|><|start|>assistant"},
                "the row is the text of a chat template", "as it was before"),
    "tokenised": ({"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [-100, 2]}, "the row is tokenised", "input_ids"),
    "qwq_preview_no_tags": ({"messages": roles(f"{THOUGHT}\n\n**Final Answer**\n\n\\[ \\boxed{{7}} \\]")},
                            "no tags of a known format", "formatting virgo_dqvq"),
    "questions_only": ({"question": ASKED, "image": "a.png"}, "no response in the row", "columns found: question, image;"),
    "answers_only_log": ({"id": "c", "choices": [{"message": roles(SOLUTION, reasoning=THOUGHT)[1]}]}, "no question", "request"),
}  # fmt: skip


def the_part(row, options=Options()):
    reading = read_row(row, "long_thought", options)
    (only,) = reading.parts
    return reading.format, only


@pytest.mark.parametrize(("row", "format", "expected"), READ.values(), ids=READ)
def test_a_layout_gives_its_thought_and_solution_letter_for_letter(row, format, expected):
    before = json.dumps(row)
    shown, part = the_part(row)
    assert isinstance(part, Example), part
    assert (shown, part.response) == (format, expected)
    assert (
        part.response.thought in before.encode().decode("unicode_escape", "replace") or "\n" in part.response.thought
    )
    assert ASKED in part.question and json.dumps(row) == before
    pictures = ("a.png",) if "a.png" in before else ()
    assert part.images == pictures and part.question.count("<image>") == len(pictures)


@pytest.mark.parametrize(("row", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_a_layout_without_a_thought_is_refused_and_told_why(row, reason, words):
    _, part = the_part(row)
    assert isinstance(part, RejectedRow), part
    assert part.reason == reason
    assert words in part.detail


OPENINGS = {
    "think": ("<think>", "</think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "thought": ("<thought>", "</thought>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "think_brackets": ("[THINK]", "[/THINK]"),
    "think_triangles": ("◁think▷", "◁/think▷"),
    "reason": ("<reason>", "</reason>"),
    "cot": ("<cot>", "</cot>"),
    "scratchpad": ("<scratchpad>", "</scratchpad>"),
    "rationale": ("<rationale>", "</rationale>"),
    "inner_monologue": ("<inner_monologue>", "</inner_monologue>"),
    "analysis": ("<analysis>", "</analysis>"),
    "seed_think": ("<seed:think>", "</seed:think>"),
    "cohere_thinking": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "gemma_channel": ("<|channel>thought", "<channel|>"),
    "medgemma_thought": ("<unused94>thought", "<unused95>"),
}


@pytest.mark.parametrize("front", ["", "\ufeff", "\u200b\n", " \u2060"])
@pytest.mark.parametrize("case", [str, str.upper, str.lower])
@pytest.mark.parametrize("name", OPENINGS)
def test_tags_in_any_case_with_and_without_the_opening_one(name, case, front):
    if name == "reasoning" and case is str.upper:
        pytest.skip("<REASONING> is one of LLaVA-CoT's four sections")

    opening, closing = map(case, OPENINGS[name])
    for text in (f"{front}{opening}\n{THOUGHT}\n{closing}\n{SOLUTION}", f"{front}{THOUGHT}\n{closing}\n\n{SOLUTION}"):
        shown, part = the_part({"question": ASKED, "response": text})
        assert (shown, part.response) == (name, LONG)
        answer = f"{text.partition(closing)[0]}{closing}\n<answer>{SOLUTION}</answer>"
        shown, part = the_part({"question": ASKED, "response": answer})
        assert (shown, part.response) == (f"{name}_answer", LONG)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<thinking>{THOUGHT}", "no </thinking>"),
        (f"{THOUGHT}</think>{SOLUTION}</think>", "a tag occurs more than once"),
        (f"</think>{SOLUTION}", "the thought is empty"),
        (f"{THOUGHT}</think> \n", "the solution is empty"),
        (f"Sure. <thinking>{THOUGHT}</thinking>{SOLUTION}", "text before the thought"),
        (f"[THINK]{THOUGHT}", "no [/THINK]"),
        (f"## Thinking\n\n{THOUGHT}", "no heading ## Final Response"),
        (f"<|channel|>analysis<|message|>{THOUGHT}<|end|>", "not one analysis and one final channel"),
        (f"<|channel|>final<|message|>{SOLUTION}", "not one analysis and one final channel"),
    ],
)
def test_broken_responses_in_other_tags_are_named(text, reason):
    _, part = the_part({"question": ASKED, "response": text})
    assert isinstance(part, RejectedRow) and part.reason == reason, part


def test_an_output_in_the_solution_is_its_own_text():
    solution = "Print it: <output>7</output> is what comes."
    assert the_part({"question": "q", "response": f"<thinking>{THOUGHT}</thinking>{solution}"})[
        1
    ].response == LongThought(THOUGHT, solution)
    whole = f"<thinking>{THOUGHT}</thinking>\n<output>{SOLUTION}</output>"
    assert the_part({"question": "q", "response": whole})[1].response == LONG


@pytest.mark.parametrize("tag", ["solution", "response", "Response", "final_answer", "conclusion"])
def test_tags_around_the_whole_of_a_solution_are_of_its_form(tag):
    for front in (f"<think>\n{THOUGHT}\n</think>", f"{THOUGHT}</think>", f"<cot>{THOUGHT}</cot>"):
        assert the_part({"question": ASKED, "response": f"{front}\n<{tag}>\n{SOLUTION}\n</{tag}>"})[1].response == LONG

    assert (
        the_part({"question": ASKED, "thinking": THOUGHT, "response": f"<{tag}>{SOLUTION}</{tag}>"})[1].response
        == LONG
    )
    for own in (f"Write <{tag}>7</{tag}>.", f"<{tag}>7</{tag}> and <{tag}>8</{tag}>"):
        found = the_part({"question": ASKED, "response": f"<think>{THOUGHT}</think>{own}"})[1]
        assert found.response == LongThought(THOUGHT, own)


@pytest.mark.parametrize(
    "heading",
    ["## Answer", "# Solution", "**Response:**", "### Final Answer", "**Answer**:", "## 最终答案", "**回答：**"],
)
@pytest.mark.parametrize("first", ["## Reasoning", "**Thinking:**", "## 思考过程", "**思考：**"])
def test_headings_of_a_solution(first, heading):
    text = f"{first}\n\n{THOUGHT}\n\n{heading}\n{SOLUTION}"
    assert the_part({"question": ASKED, "response": text})[1].response == LONG
    twice = f"## Reasoning\n\n{THOUGHT}\n\n## Answer\n7\n\n## Answer\n{SOLUTION}"
    assert the_part({"question": ASKED, "response": twice})[1].reason == "a tag occurs more than once"


FIELDS = [
    {"reasoningContent": THOUGHT}, {"cot": THOUGHT}, {"chain_of_thought": THOUGHT}, {"think": THOUGHT},
    {"model_reasoning": THOUGHT, "think": True}, {"reasoning_content": THOUGHT}, {"reasoning": THOUGHT}, {"thinking": THOUGHT}, {"thought": THOUGHT}, {"thoughts": THOUGHT},
    {"reasoning_text": THOUGHT}, {"thinking_content": THOUGHT}, {"reasoning": {"content": THOUGHT}},
    {"reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]}, {"reasoning_content": None, "reasoning": THOUGHT},
    {"reasoning_content": "", "thinking_blocks": [{"type": "thinking", "thinking": THOUGHT, "signature": "x"}]},
    {"analysis": THOUGHT}, {"scratchpad": THOUGHT}, {"rationale": THOUGHT}, {"Rationale": [THOUGHT]}, {"innerMonologue": THOUGHT},
    {"reasoning": THOUGHT, "analysis": "The user asks for a number."}, {"rationale": THOUGHT, "analysis": "short"},
]  # fmt: skip


@pytest.mark.parametrize("fields", FIELDS)
def test_fields_of_a_message(fields):
    assert the_part({"messages": roles(SOLUTION, **fields)}) == (
        "thought_fields",
        the_part({"messages": roles(SOLUTION, reasoning=THOUGHT)})[1],
    )
    assert the_part({"messages": roles(SOLUTION, **fields)})[1].response == LONG


@pytest.mark.parametrize("name", ["analysis", "rationale", "scratchpad", "explanation"])
def test_a_field_beside_a_content_with_its_own_thought_is_left_alone(name):
    fields = {name: "It was chosen for its style."}
    assert the_part({"messages": roles(f"<think>{THOUGHT}</think>{SOLUTION}", **fields)}) == (
        the_part({"messages": roles(f"<think>{THOUGHT}</think>{SOLUTION}")})
    )


@pytest.mark.parametrize("name", ["explanation", "justification", "working", "steps", "reasoning_summary"])
def test_a_field_that_may_be_a_thought_is_named_with_a_remedy_that_works(name):
    told = the_part({"messages": roles(SOLUTION, **{name: THOUGHT})})[1]
    assert f"{name} beside its content: where that is its thought, call it reasoning_content" in told.detail
    assert the_part({"messages": roles(SOLUTION, reasoning_content=THOUGHT)})[1].response == LONG


def test_two_fields_that_differ_are_no_thought():
    told = the_part({"messages": roles(SOLUTION, rationale=THOUGHT, analysis="Another one.")})[1]
    assert told.reason == "two different thoughts in a message"


@pytest.mark.parametrize(
    "items",
    [
        [{"type": "thinking", "thinking": THOUGHT, "signature": "abc"}, {"type": "text", "text": SOLUTION}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": SOLUTION}],
        [{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": SOLUTION}],
        [{"type": "reasoning", "content": THOUGHT}, {"type": "answer", "content": SOLUTION}],
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"type": "output_text", "text": SOLUTION}],
        [{"text": THOUGHT, "thought": True}, {"text": SOLUTION}],
        [{"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": "x"}}}, {"text": SOLUTION}],
    ],
)  # fmt: skip
def test_typed_items(items):
    assert the_part({"messages": roles(items)})[1].response == LONG


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": roles([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": SOLUTION}])}, "the thought is redacted"),
        ({"messages": roles([{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}])}, "text before the thought"),
        ({"messages": roles(SOLUTION, reasoning="a", thinking="b")}, "two different thoughts in a message"),
        ({"messages": roles(THINK, reasoning="another")}, "two different thoughts in a message"),
        ({"messages": roles("", reasoning=THOUGHT)}, "the solution is empty"),
        ({"messages": roles(None, reasoning=THOUGHT)}, "the solution is empty"),
        ({"messages": roles(SOLUTION, reasoning=None)}, "no tags of a known format"),
        ({"messages": roles(SOLUTION, reasoning=True)}, "no tags of a known format"),
        ({"question": ASKED, "reasoning": "off", "response": SOLUTION}, "no tags of a known format"),
        ({"messages": roles(SOLUTION, reasoning=THOUGHT, tool_calls=[{"id": "1"}])}, "tool calls are not trained"),
        ({"messages": [roles("a")[0], {"role": "assistant", "channel": "commentary", "content": THINK}]}, "tool calls are not trained"),
        ({"messages": [*roles("a"), {"role": "Tool", "content": "7"}]}, "tool calls are not trained"),
        ({"question": ASKED, "deepseek_thinking_trajectory": THOUGHT, "deepseek_attempt": SOLUTION, "deepseek_grade": "No"}, "the response is marked wrong"),
        ({"question": ASKED, "thinking": ["a", "b"], "response": "c"}, "thinking is not one text"),
    ],
)  # fmt: skip
def test_thoughts_that_are_not_usable_are_counted(row, reason):
    _, part = the_part(row)
    assert isinstance(part, RejectedRow) and part.reason == reason, part


def test_a_field_that_repeats_what_the_content_has_is_one_thought():
    for content in (THINK, f"<think>\n\n</think>\n\n{SOLUTION}", SOLUTION):
        assert the_part({"messages": roles(content, reasoning_content=f"\n{THOUGHT}\n")})[1].response == LONG


@pytest.mark.parametrize(
    ("user", "assistant"),
    [
        ("User", "Assistant"),
        ("HUMAN", "GPT"),
        ("user", "model"),
        ("human", "chatgpt"),
        ("user", "bot"),
        ("User", "AI"),
        ("prompter", "assistant"),
        ("用户", "助手"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("spelling", ["messages", "conversations", "conversation", "dialog"])
def test_roles_in_other_words_and_messages_as_text(user, assistant, as_text, spelling):
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": user, "content": ASKED},
        {"role": assistant, "content": THINK},
    ]
    _, part = the_part({spelling: json.dumps(messages) if as_text else messages})
    assert (part.system, part.question, part.response) == ("Be brief.", ASKED, LONG)


def test_gemini_parts_and_thoughts_in_messages_of_their_own():
    parts = [
        {"role": "user", "parts": [{"text": ASKED}]},
        {"role": "model", "parts": [{"text": THOUGHT, "thought": True}, {"text": SOLUTION}]},
    ]
    assert the_part({"messages": parts})[1].response == LONG
    apart = [*roles("")[:1], {"role": "reasoning", "content": THOUGHT}, {"role": "assistant", "content": SOLUTION}]
    assert the_part({"messages": apart})[1].response == LONG
    channels = [
        *roles("")[:1],
        {"role": "assistant", "channel": "analysis", "content": THOUGHT},
        {"role": "assistant", "channel": "final", "content": SOLUTION},
    ]
    assert the_part({"messages": channels})[1].response == LONG


@pytest.mark.parametrize(
    ("thought", "solution"),
    [
        ("reasoning", "answer"), ("Reasoning", "Answer"), ("thinking", "response"), ("thoughts", "final_answer"),
        ("chain_of_thought", "answer"), ("Chain of Thought", "Answer"), ("cot", "output"), ("r1_reasoning", "r1_response"),
        ("思考", "回答"), ("思维链", "答案"), ("推理过程", "最终答案"), ("推理", "解答"), ("qwq_thinking", "qwq_answer"), ("reasoningContent", "content"), ("thinking_content", "completion"), ("reasoning_trace", "final"),
    ],
)  # fmt: skip
def test_columns_whose_names_tell(thought, solution):
    shown, part = the_part({"question": ASKED, thought: THOUGHT, solution: SOLUTION, "id": "a", "model": "x"})
    assert (shown, part.response, part.question) == ("thought_columns", LONG, ASKED)
    shown, part = the_part({"问题": ASKED, thought: THOUGHT, solution: SOLUTION})
    assert (shown, part.response, part.question) == ("thought_columns", LONG, ASKED)


@pytest.mark.parametrize(("names", "is_told"), [
    (("thinking", "reasoning"), True), (("cot", "thought"), True), (("reasoning_content", "reasoning"), True),
    (("r1_thinking", "r1_reasoning"), True), (("thinking", "gemini_thinking_trajectory"), False), (("reasoning", "rationale"), False),
    (("reasoning", "reasoning_type"), False), (("reasoning", "reasoning_level"), False),
])  # fmt: skip
def test_two_thoughts_of_one_model_are_a_reason_whose_line_works(names, is_told):
    row = {"question": ASKED, names[0]: THOUGHT, names[1]: "By counting: seven.", "answer": SOLUTION}
    _, part = the_part(row)
    assert isinstance(part, Example) != is_told
    if is_told:
        assert part.reason == "two thoughts in the row" and all(name in part.detail for name in names)
        columns = {"thought": names[0], "solution": "answer"}
        assert the_part(row, Options(columns=columns))[1].response == LONG

    for same in (THOUGHT, f" {THOUGHT}\n", THOUGHT[:20], None, "", "high"):
        assert the_part(row | {names[1]: same})[1].response.solution == SOLUTION


def test_a_tagged_response_wins_over_a_column_of_notes():
    row = {"question": ASKED, "reasoning": "A short note of an annotator.", "response": THINK}
    format, part = the_part(row)
    assert (format, part.response, part.notes) == (
        "think",
        LONG,
        ("a column beside the question is not trained on: reasoning",),
    )
    assert (
        the_part(row | {"reasoning": THOUGHT})[1].notes
        == the_part(row | {"reasoning": f"<think>{THOUGHT}</think>"})[1].notes
        == ()
    )
    row = {"messages": roles(THINK), "reasoning": "A short note of an annotator.", "answer": "7"}
    part = the_part(row)[1]
    assert (part.response, part.notes) == (LONG, ("a column beside the messages is not trained on: reasoning",))


def test_columns_that_dataset_info_names():
    columns = {"question": "q", "thought": "chain", "solution": "final"}
    row = {"q": ASKED, "chain": THOUGHT, "final": SOLUTION}
    _, refused = the_part(row)
    assert refused.reason == "format not known" and f'"columns": {json.dumps(columns)}' in refused.detail
    assert the_part(row, options_of({"columns": columns}))[1].response == LONG
    limo = {"question": ASKED, "solution": THOUGHT, "answer": SOLUTION}
    for named in ({"thought": "solution", "solution": "answer"}, {"solution": "answer", "thought": "solution"}):
        assert the_part(limo, options_of({"columns": named}))[1].response == LONG

    assert (
        the_part(
            {"q": ASKED, "chain": THOUGHT, "end": SOLUTION},
            options_of({"columns": {"prompt": "q", "thought": "chain", "response": "end"}}),
        )[1].response
        == LONG
    )
    assert the_part({"q": ASKED, "final": SOLUTION}, options_of({"columns": columns}))[1].reason == "no column chain"
    chat = {"talk": roles(SOLUTION), "chain": THOUGHT}
    assert the_part(chat, options_of({"columns": {"messages": "talk", "thought": "chain"}}))[1].response == LONG
    for wrong in ({"solution": "x"}, {"thoughts": "x"}):
        with pytest.raises(ValueError, match="columns"):
            options_of({"columns": wrong})

    with pytest.raises(ValueError, match="long_thought"):
        options_of({"formatting": "virgo_dt", "columns": {"thought": "x", "solution": "y"}})


def test_options_in_a_column_of_their_own_are_part_of_the_question():
    _, part = the_part(READ["medreason"][0])
    assert part.question == f"{ASKED}\nAnswer Choices:\nA. 6\nB. 7"
    _, part = the_part(READ["video_r1_cot"][0] | {"options": ["A. 6", "B. 7"]})
    assert part.question == f"{ASKED}\nA. 6\nB. 7"


def test_all_of_numbered_columns():
    parts = read_row(READ["deepmath_103k_tags"][0], "long_thought", Options(responses="all")).parts
    assert [part.id[-2:] for part in parts] == ["-0", "-1", "-2"] and parts[1].response == LONG


@pytest.mark.parametrize("names", [("response_1", "response_2"), ("output_0", "output_1"), ("r1_solution_1", "r1_solution_2"),
                                   ("response_a", "response_b"), ("qwen_response", "r1_response")])  # fmt: skip
def test_of_several_columns_with_a_thought_none_is_taken_for_the_right_one(names):
    row = {"question": ASKED, names[0]: THINK.replace("7", "8"), names[1]: THINK}
    _, part = the_part(row)
    assert part.reason == "several columns hold a thought" and f'"response": "{names[0]}"' in part.detail
    assert the_part(row, Options(columns={"response": names[1]}))[1].response == LONG
    assert the_part(row | {"correct": [False, True]})[1].response == LONG
    assert the_part(row | {"correct": [True]})[1].reason == "responses and verdicts do not match"
    for other in (THINK, None, ""):
        assert the_part(row | {names[0]: other})[1].response == LONG


def test_spellings_of_one_thought_are_one_kind():
    kinds = {kind_of(format) for row, format, _ in READ.values()}
    assert {
        kind_of(name)
        for name in (
            *("think", "thinking", "think_brackets", "thought_fields", "thought_columns", "harmony"),
            *("think_answer", "thinking_answer"),
        )
    } == {"think"}
    assert {"think", "four_markers", "four_sections", "headings"} <= kinds


def test_earlier_turns_without_a_thought_are_context():
    """Templates of reasoning models strip the thoughts of earlier turns, and so do many sets (Llama-Nemotron)."""
    earlier = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    alpaca = {"instruction": ASKED, "output": THINK, "history": [["Hello?", "Hello."]]}
    for row in (
        {"messages": [*earlier, *roles(THINK)]},
        {"messages": [*earlier, *roles(SOLUTION, reasoning=THOUGHT)]},
        alpaca,
    ):
        _, part = the_part(row)
        (turn,) = part.history
        assert (turn.question, turn.response, turn.learned) == ("Hello?", "Hello.", False)
        assert (part.question, part.response, part.learned) == (ASKED, LONG, True)
        first, second = read_row(row, "long_thought", Options(turns="split")).parts
        assert first.reason == "no thought in the response" and second.response == LONG

    _, part = the_part(alpaca | {"history": [["Hello?", THINK]]})
    assert part.history[0].response == LONG and part.history[0].learned
    _, part = the_part({"messages": [*roles(THINK), *earlier]})
    assert isinstance(part, RejectedRow)


@pytest.mark.parametrize("attempt", ["", " ", None])
def test_the_gold_solution_does_not_stand_in_for_an_empty_attempt(attempt):
    row = {"question": ASKED, "solution": "3 + 4 = 7", "thinking_trajectories": [THOUGHT], "attempt": attempt}
    _, part = the_part(row)
    assert isinstance(part, RejectedRow)
    del row["attempt"]
    assert the_part(row)[1].response == LongThought(THOUGHT, "3 + 4 = 7")


def test_fields_of_preference_pairs():
    pair = {
        "prompt": roles("")[:1],
        "chosen": roles(SOLUTION, reasoning_content=THOUGHT)[1:],
        "rejected": roles("8", thinking="It is 8.")[1:],
    }
    _, part = the_part(pair, Options(ranking=True))
    assert (part.response, part.rejected, part.question) == (LONG, LongThought("It is 8.", "8"), ASKED)


@pytest.mark.parametrize("name", ["output", "final", "Output", "solution", "response"])
@pytest.mark.parametrize("thought", ["think", "thinking", "Thought", "thoughts", "reason", "cot", "scratchpad"])
def test_tags_around_the_whole_solution_are_none_of_it_behind_any_thought(name, thought):
    whole = f"<{thought}>{THOUGHT}</{thought}>\n<{name}>{SOLUTION}</{name}>"
    (part,) = read_row({"question": ASKED, "response": whole}, "long_thought").parts
    assert part.response == LongThought(THOUGHT, SOLUTION)


OF_OTHERS = (
    *("rejected", "incorrect_solution", "wrong_answer", "negative", "bad_response", "truncated_response", "example"),
    *("few_shot_example", "demonstration", "baseline_response", "student_response", "wrongAnswer", "judge_output", "draft_2"),
)  # fmt: skip


@pytest.mark.parametrize("column", OF_OTHERS)
def test_a_column_of_another_purpose_is_no_response_unless_it_is_named(column):
    row = {"question": ASKED, column: THINK, "gold": "4"}
    (part,) = read_row(row, "long_thought").parts
    assert isinstance(part, RejectedRow)
    assert f'"columns": {{"response": "{column}"}}' in part.detail
    (part,) = read_row(row, "long_thought", Options(columns={"response": column})).parts
    assert part.response == LongThought(THOUGHT, SOLUTION)


@pytest.mark.parametrize(
    "column",
    ["judge_reasoning", "verifier_reasoning", "grader_thought", "criticThinking", "difficulty_reasoning", "query_cot"]
    + ["gpt4_quality_reasoning", "score_thoughts", "labelReasoning", "evaluation_thought", "previous_reasoning"],
)
def test_the_thought_of_a_judge_is_none_of_the_response(column):
    for row in ({"question": ASKED, "response": SOLUTION}, {"messages": roles(SOLUTION)}):
        (part,) = read_row(row | {column: "The response is right, because seven it is."}, "long_thought").parts
        assert isinstance(part, RejectedRow)


@pytest.mark.parametrize(
    "column", ["generated_solution", "qwen_response", "corrected_answer", "verified_solution", "process"]
)
def test_a_column_of_any_other_name_is_the_response(column):
    (part,) = read_row({"question": ASKED, column: THINK}, "long_thought").parts
    assert part.response == LongThought(THOUGHT, SOLUTION)


def test_a_mapped_solution_may_hold_the_thought_once_more_but_no_other():
    row, columns = (
        {"question": ASKED, "chain": THOUGHT, "response": THINK},
        {"thought": "chain", "solution": "response"},
    )
    (part,) = read_row(row, "long_thought", Options(columns=columns)).parts
    assert part.response == LongThought(THOUGHT, SOLUTION)
    (part,) = read_row(row | {"chain": "Something else."}, "long_thought", Options(columns=columns)).parts
    assert part.reason == "two different thoughts in a message"


@pytest.mark.parametrize(
    "solution",
    [
        "A model thinks between `<think>` and `</think>`. It is 7.",
        'The tag "<think>" opens a thought: 7.',
        "Like this:\n```\n<think>x</think>\n```\nIt is 7.",
    ],
)
@pytest.mark.parametrize("opening", ["<think>", ""])
def test_a_tag_that_is_only_quoted_is_text(solution, opening):
    _, part = the_part({"question": ASKED, "response": f"{opening}{THOUGHT}</think>\n\n{solution}"})
    assert part.response == LongThought(THOUGHT, solution)


@pytest.mark.parametrize("column", ["caption_reasoning", "domain_reasoning", "question_title_thoughts"])
def test_a_reasoning_about_something_else_is_not_the_thought(column):
    _, part = the_part({"question": ASKED, "response": SOLUTION, column: THOUGHT})
    assert isinstance(part, RejectedRow)


TAGGED_THOUGHTS = [THINK, f"<think>{THOUGHT}</think>", f"{THOUGHT}\n</think>", f"<think>\n{THOUGHT}", f"{THOUGHT}</think>\n{SOLUTION}",
                   f"{THOUGHT}</think>\nThere are", f"[THINK]{THOUGHT}[/THINK]", f"<Thought>{THOUGHT}</Thought>", MARKED,
                   f"<|begin_of_thought|><think>{THOUGHT}</think><|end_of_thought|>", f"<think>{THOUGHT}</think><answer>{SOLUTION}</answer>"]  # fmt: skip
APART = {
    "columns": lambda thought: {"question": ASKED, "reasoning": thought, "answer": SOLUTION},
    "solution": lambda thought: {"question": ASKED, "thought": thought, "solution": SOLUTION},
    "s1k": lambda thought: {"question": ASKED, "deepseek_thinking_trajectory": thought, "deepseek_attempt": SOLUTION},
    "message": lambda thought: {"messages": roles(SOLUTION, reasoning_content=thought)},
    "item": lambda thought: {
        "messages": roles([{"type": "thinking", "thinking": thought}, {"type": "text", "text": SOLUTION}])
    },
    "beside_chat": lambda thought: {"messages": roles(SOLUTION), "reasoning": thought},
    "no_response": lambda thought: {"messages": roles("")[:1], "reasoning": thought, "answer": SOLUTION},
    "twice": lambda thought: {"messages": roles(THINK, reasoning_content=thought)},
}


@pytest.mark.parametrize("place", APART)
@pytest.mark.parametrize("thought", TAGGED_THOUGHTS)
def test_tags_around_a_thought_in_a_field_of_its_own_are_left_out(place, thought):
    (part,) = read_row(APART[place](thought), "long_thought").parts
    assert part.response == LONG


@pytest.mark.parametrize("place", APART)
def test_what_is_no_end_of_a_thought_in_its_field_stays_or_is_a_reason(place):
    for thought in (
        f"{THOUGHT}</think>\nAnother.",
        f"<think>{THOUGHT}</think>Another.",
        f"{THOUGHT}</think>a</think>b",
    ):
        (part,) = read_row(APART[place](thought), "long_thought").parts
        assert part.reason in ("another solution behind the thought", "a tag out of place")

    if place != "twice":
        for thought in (
            f"It writes `</think>`. {THOUGHT}",
            f"Close </analysis> first. {THOUGHT}",
            f"A <think> more. {THOUGHT}",
        ):
            (part,) = read_row(APART[place](thought), "long_thought").parts
            assert part.response == LongThought(thought, SOLUTION)


def test_tags_around_a_thought_between_markers_are_left_out():
    for inside in (f"<think>\n{THOUGHT}\n</think>", f"{THOUGHT}</think>", f"<think>{THOUGHT}"):
        row = {"question": ASKED, "response": LongThought(inside, SOLUTION).render()}
        (part,) = read_row(row, "long_thought").parts
        assert part.response == LONG


@pytest.mark.parametrize(
    ("behind", "solution", "format"),
    [
        ("It asks for `<answer>42</answer>` there.", "It asks for `<answer>42</answer>` there.", "think"),
        ("As in `<answer>`, I say <answer>42</answer>", "As in `<answer>`, I say <answer>42</answer>", "think_answer"),
        ("<answer>42</answer>", "42", "think_answer"),
    ],
)
def test_quoted_tags_of_an_answer_are_text(behind, solution, format):
    (part,) = read_row({"question": "?", "response": f"<think>I add.</think>\n\n{behind}"}, "long_thought").parts
    assert (part.response.solution, part.format) == (solution, format)


GIVING_4 = ["The answer is \\boxed{4}.", "It is 4.", "It is **4**", "It is so: <answer>4</answer>", "\\boxed{4}"]


@pytest.mark.parametrize("solution", GIVING_4)
def test_a_whole_response_in_the_column_of_a_thought_is_read_where_it_gives_the_answer_beside_it(solution):
    row = {"question": "What is 1 + 3?", "answer": "4", "cot": f"<think>I add.</think>\n\n{solution}"}
    (part,) = read_row(row, "long_thought").parts
    assert part.response.thought == "I add."
    if part.response.solution != "4":  # else the two columns are a thought and its solution
        assert (part.response.solution, part.answer) == (solution, "4")

    for other in ("5", "14", "B"):
        (part,) = read_row(row | {"answer": other}, "long_thought").parts
        assert part.reason == "another solution behind the thought"
        line = part.detail.rpartition('"columns": ')[2].removesuffix(" in its entry of dataset_info.json")
        (part,) = read_row(row | {"answer": other}, "long_thought", Options(columns=json.loads(line))).parts
        assert (part.response.thought, part.answer) == ("I add.", other)


def test_the_end_of_another_number_is_not_the_answer():
    for solution in ("It is 14.", "It is 3.4", "It is -4", "It is \\boxed{14}, not 4"):
        row = {"question": "?", "answer": "4", "cot": f"<think>I add.</think>\n\n{solution}"}
        (part,) = read_row(row, "long_thought").parts
        assert part.reason == "another solution behind the thought"
