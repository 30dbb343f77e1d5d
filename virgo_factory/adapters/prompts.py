"""Fixed prompts that published datasets carry and that ask for nothing but the dataset's own tags.

A model is trained on the four markers whatever the tags of the source were, so such a prompt would contradict its
response. Only wordings known from the projects' own code or data are dropped, everything else stays:

- think / answer: LongPerceptualThoughts (rows of its released examples; what follows the fixed part, the capability
  and the answer's style, stays) and DeepSeek-R1-Zero's template, which is the same but for one word;
- think / answer: OpenMMReasoner (data_pipeline/distill_response.py, CLEAN_SYSTEM_PROMPT and SYSTEM_PROMPT);
- headings: Mulberry (PROMPT of its data builder), in front of the question;
- thought / solution: Sky-T1, Bespoke-Stratos, OpenThoughts (open_thoughts/prompt.py, SKY_T1_SYSTEM_PROMPT), and
  STILL-2, which puts the longer form in front of the question (README of RUCAIBox/Slow_Thinking_with_LLMs).
"""

import re


_THINK_ANSWER = (
    r"A conversation between User and Assistant\. The user asks a (?:visual )?question, and the Assistant solves it\. "
    r"The assistant first thinks about the reasoning process in the mind and then provides the user with the answer\. "
    r"The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
    r"respectively, i\.e\., <think> reasoning process here </think> ?<answer> answer here </answer>\."
)
_OPEN_MM_REASONER = (
    r"You are a helpful assistant\. When the user asks a question, your response must include two parts"
    r"(?: and nothing else)?: first, the reasoning process enclosed in <think>\.\.\.</think> tags, then the final "
    r"answer enclosed in <answer>\.\.\.</answer> tags\. ?Please provide a clear, concise response within "
    r"<answer> </answer> tags that directly addresses the question\."
)
_MARKERS = (
    r"Your role as an assistant involves thoroughly exploring questions through a systematic long thinking process "
    r"before providing the final precise and accurate solutions\.(?>.{0,2000}?<\|begin_of_thought\|>)"
    r"(?>.{0,2000}?<\|end_of_thought\|>)(?>.{0,2000}?<\|begin_of_solution\|>)(?>.{0,200}?<\|end_of_solution\|>)"
    r"(?>.{0,20}?Now, try to solve the following question through the above guide?lines:)"
)


_MULBERRY = (
    r"Generate an image description based on the question\. Then, provide a rationale to analyze the question\. "
    r"Next, generate a step-by-step reasoning process to solve the problem\. Ensure the steps are logical and "
    r"concise\. Finally, provide a concise summary of the final answer in the following format: 'The final answer is: "
    r"xxx\.'? Format your response with the following sections, separated by ###: ### Image Description: "
    r"### Rationales: ### Let's think step by step\. ### Step 1: ### Step 2: \.\.\. ### The final answer is:"
)


def _spaced(pattern: str) -> re.Pattern[str]:
    return re.compile(r"\s*" + pattern.replace(" ", r"\s+").replace(r"\s+?", r"\s*") + r"\s*", re.DOTALL)


_SYSTEM = [_spaced(pattern) for pattern in (_THINK_ANSWER, _OPEN_MM_REASONER, _MARKERS)]
_QUESTION = [_SYSTEM[-1], _spaced(_MULBERRY)]
_IMAGES = re.compile(r"(?:\s*<image>)*+")

_WORDS = r"[^.?!\n<]*"
_LAST_SENTENCE = re.compile(
    rf"(?:^|(?<=[.?!:])[ \t]|\n){_WORDS}<think>{_WORDS}</think>{_WORDS}<answer>{_WORDS}</answer>{_WORDS}\.?\s*\Z"
)


def without_format_prompt(system: str | None) -> str | None:
    """Return what of a system message remains without a fixed format prompt; None if nothing does."""
    if not system or not system.strip():
        return None

    for pattern in _SYSTEM:
        if found := pattern.match(system):
            return system[found.end() :].strip() or None

    return system


def without_format_request(question: str) -> str:
    """Return a question without STILL-2's or Mulberry's prompt in front, or a last sentence that asks for think tags.

    OpenMMReasoner's questions may end with "Output the thinking process in <think> </think> and final answer in
    <answer> </answer> tags." (its handle_question removes this sentence, not the others of the kind).

    >>> without_format_request("How many? Put it in <think> </think> and then <answer> </answer> tags.")
    'How many?'
    """
    images = _IMAGES.match(question).end()
    for pattern in _QUESTION:
        if found := pattern.match(question, images):
            question = question[:images] + question[found.end() :]

    end = question[-400:]
    if "<think>" in end and (found := _LAST_SENTENCE.search(end)):
        question = question[: len(question) - len(end) + found.start()].rstrip()

    return question
