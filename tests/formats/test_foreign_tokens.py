"""Control tokens of other models in responses, and the ordinary texts that only look like them."""

import pytest

from virgo_factory.formats import Options, RejectedRow, read_row
from virgo_factory.formats.any_row.foreign_tokens import TAGGED, foreign_token


TOKENS = (
    "</s>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|start_header_id|>", "<｜end▁of▁sentence｜>", "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>", "<end_of_turn>", "<start_of_turn>", "<eos>", "<bos>", "<|end|>", "<|return|>", "<|channel|>",
    "<|user|>", "<|assistant|>", "<|begin_of_box|>", "<|end_of_box|>", "[INST]", "[/INST]", "<</SYS>>", "<|EOT|>",
    "<|END_OF_TURN_TOKEN|>", "<|im_middle|>", "<|endofprompt|>", "[gMASK]", "<end_of_utterance>", "[UNUSED_TOKEN_145]",
    "<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|EndOfText|>", "<|tool_calls_section_begin|>", "<|python_tag|>",
    "<|reserved_special_token_12|>", "<|begin▁of▁text|>", "<|observation|>", "<|eod|>", "<|im_user|>", "<|repo_name|>",
    "<|finetune_right_pad_id|>", "<|end of text|>", "<|extra_0|>", "<|START_THINKING|>", "<|placeholder1|>",
    "[e~[", "]~b]", "<|stop|>", "<|eoa|>", "</S>", "<|eor|>", "<｜im_end｜>", "＜|im_end|＞", "<eod>", "<eou>",
    "<end_of_message>", "<im_end>", "<endoftext>", "<|endofassistant|>", "<0x0A>", "<SPECIAL_12>", "<unused12>", "<ctrl101>",
    "<start_function_call>", "[TOOL_CALLS]", "<|end▁of▁sentence|>", "<|endofturn|>", "<reserved_106>", "<|message|>", "<｜tool▁calls▁begin｜>",
    "<turn|>", "<|turn>", "<tool_call|>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<fake_token_around_image>", "<global-img>", "<row_1_col_2>",
    "<image_soft_token>", "<IMG_CONTEXT>", "<loc0123>", "<im_patch>", "<mask:3>", "</longcat_s>", "<longcat_user>", "<｜DSML｜",
    "<seed:cot_budget_reflect>", "<minimax:tool_call>", "<TOOLCALL>", "[/TOOL_RESULTS]", "[MODEL_SETTINGS]", "[IMG_BREAK]", "[sMASK]",
    "[BEGIN FINAL RESPONSE]", "<|userprompt|>", "<|endofresponse|>", "<|/ref|>", "<|det|>", "<|inner_prefix|>", "<|padding|>",
    "<|plamo:bos|>", "<|flush|>", "<|nothink|>", "<|rwkv_tokenizer_end_of_text|>", "<用户>", "<fim_middle>",
    "<seed:eos>", "<role>HUMAN</role>", "<extra_id_1>User", "[|endofturn|]",
    "[BE_SILENT]", "<|hy_place▁holder▁no▁2|>", "<|hy_EOT|>",
)  # fmt: skip
ORDINARY = (
    "a < b, c > d", "|x| < |y| > 0", "<x|y|z>", "<|psi>", "f <| x |> g", "<|x|>", "the HTML <s>old</s> new", "<s>a</s> and <s>b</s>",
    "`</s>` ends it", '"<|eot_id|>" is a token', "“<eos>”", "[1, 2]", "[INSTALL]", "<b>bold</b>", "a[0] <|| b", "x = [INSTANCE]",
    "<|psi|>", "<|Psi_n|>", "<|sigma_x|>", "<|spin up|>", "<|ground state|>", "<|H|>", "f <|filter even|> g", "<|legend|>",
    "std::vector<eos>", "vector<eos> v", "List<bos> x", "Foo<eos>()", "set< eoh>", "std::map<eop>", "#include <eos>",
    "struct <eos> {", "mem[INST] = 4", "a[0][INST]", "f(x)[INST]", "table[UNUSED_TOKEN_1]", "<|user_defined_op|>",
    "<end>", "tokens[PAD]", "`<pad>`", "A<B|C>D", "$\\langle a | b \\rangle$", "vector<int>", "</body>", "a << 2 >> b",
    "the HTML <S>old</S>", "```python\nEOS = \"</s>\"\nprint(f'{x}<|eot_id|>')\n```", 'It says "the text ends with <|eot_id|> here".',
    "`x + </s>` is it", "| a | end |", "| x | stop |", "P(x|end)", "## End", "&lt;b&gt;bold&lt;/b&gt;", "<response>4</response>",
    "<patch>", "<loc>", "<row_count>", "mem[CALL_ID]", "the token [MASK]", "<mask>", "<|a:b|>", "f <| tool", "<turn>", "[BEGIN]",
    "A[e~[1]]", "[|x|]", "<role>admin</role>", "<extra_id_1> is T5's", "a </model> that closes <model>",
    "<|hy_no_2|>", "[BE_SILENTLY]", "s[BE_SILENT]",
)  # fmt: skip


def row(response, question="Which?"):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": response}]}


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("place", ["end of the solution", "middle", "thought", "beginning"])
def test_a_response_with_a_token_of_another_model_is_dropped(token, place):
    texts = {
        "end of the solution": f"<think>\nA.\n</think>\n\nIt is A.{token}",
        "middle": f"<think>\nA.\n</think>\n\nIt {token} is A.",
        "thought": f"<think>\nA.{token}\n</think>\n\nIt is A.",
        "beginning": f"<think>\n{token}A.\n</think>\n\nIt is A.",
    }
    (found,) = read_row(row(texts[place]), "long_thought").parts
    assert (found.reason, found.detail) == ("a control token of another model in the response", token)


@pytest.mark.parametrize(
    "token",
    [
        "</EOS>", "< /s>", "<|eot_id|", "|eot_id|>", "<|im_end", "&lt;/s&gt;", "&lt;|im_end|&gt;", "[END]", "<end>", "<stop>", "##END##",
        "</response>", "<eos_token>", "<EOT>", "<pad>", "<s>", "<unk>", "[PAD]", "[EOS]", "<EOS>", "</assistant>", "<pad><pad>",
        "[SEP]\n",
    ],
)  # fmt: skip
def test_what_is_a_token_only_where_it_ends_a_text(token):
    (found,) = read_row(row(f"<think>\nA.\n</think>\n\nIt is A.{token}"), "long_thought").parts
    assert found.reason == "a control token of another model in the response" and found.detail in token
    (found,) = read_row(row(f"<think>\nA.\n</think>\n\nIt {token} is A."), "long_thought").parts
    assert token in found.response.solution


@pytest.mark.parametrize(
    "text", ["It is the right option<eos>", "So we get the set<eos>\n", "Paris<eos> is it.", "4<eos>"]
)
def test_a_word_in_front_of_a_token_makes_no_type_of_it(text):
    assert foreign_token(text) == "<eos>"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_stay(text):
    assert foreign_token(text) is None
    (found,) = read_row(row(f"<think>\nA.\n</think>\n\n{text} so"), "long_thought").parts
    assert text in found.response.solution


def test_questions_may_be_about_them_and_texts_that_are_kept_as_they_are_may_not():
    (found,) = read_row(row("<think>\nA.\n</think>\n\nA", "What is <|eot_id|>?"), "long_thought").parts
    assert found.question == "What is <|eot_id|>?"
    (found,) = read_row(row("It is A.</s>"), "long_thought", Options(keep_malformed=True)).parts
    assert isinstance(found, RejectedRow)


def test_a_rejected_response_is_looked_at_as_well():
    said = {"role": "assistant", "content": "<think>\nA.\n</think>\n\nA"}
    pair = {"messages": [{"role": "user", "content": "Which?"}], "chosen": said}
    other = {"role": "assistant", "content": "<think>\nB.\n</think>\n\nB<|eot_id|>"}
    (found,) = read_row({**pair, "rejected": other}, "long_thought", Options(ranking=True)).parts
    assert found.detail == "<|eot_id|>"


PARTS = [
    ("<thinking>y</thinking>It is 4.", "<thinking>"),
    ("<rethink>y</rethink>It is 4.", "<rethink>"),
    ("It is 4. <verify>2 + 2</verify>", "<verify>"),
    ("<reflection>y</reflection><output>4</output>", "<reflection>"),
    ("<Summary>It is 4.</Summary>", "<Summary>"),
    ("It is 4, as `<verify>2 + 2</verify>` shows.", None),
    ("<details><summary>Why</summary>It is 4.</details>", None),
    ("It is <b>4</b>, and a <check> is a tag.", None),
]


@pytest.mark.parametrize(("solution", "tag"), PARTS)
def test_a_further_thought_in_tags_of_its_own_is_told(solution, tag):
    (part,) = read_row({"question": "2 + 2?", "response": f"<think>I add.</think>\n{solution}"}, "long_thought").parts
    assert part.notes == ((f"{TAGGED}: {tag}",) if tag else ())
