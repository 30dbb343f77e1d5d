"""Names of marks: which columns judge the response, in which words, and which have another purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.example import Example
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.any_row.second_columns import NOT_TRAINED_BESIDE_CHAT
from virgo_factory.formats.marks import names
from virgo_factory.formats.marks.names import Kind, kinds_of
from virgo_factory.formats.marks.response_marks import UNREAD
from virgo_factory.formats.options import options_of


RESPONSE = "<think>\nA is larger.\n</think>\n\nIt is \\boxed{A}."
WRONG = "the response is marked wrong"
CUT = "the response was cut off at the token limit"
NOTED = "noted"


def read(question="Which?", **marks):
    (part,) = read_row({"id": "r", "question": question, "response": RESPONSE, **marks}, "long_thought").parts
    return part


def outcome(**row):
    """Return why a row is dropped, NOTED where it is kept with a note, "" where nothing is made of its marks."""
    found = read(**row)
    if not isinstance(found, Example):
        return found.reason

    return NOTED if any(note.startswith("mark not understood: ") for note in found.notes) else ""


MARKS = [
    (WRONG, [
        {name: 0} for name in (
            "judge_correct", "answer_correct", "response_is_correct", "is_solved", "gpt_score", "gpt4_score", "gpt4o_score",
            "llm_judge_score", "rule_reward", "outcome_score", "orm_score", "verifier_passed", "em_score", "kto_tag", "isRight",
            "correct_or_not", "human_score", "llm_judge_verdict", "pred_correct", "model_answer_correct", "thought_correct",
        )
    ] + [
        *({name: False} for name in ("matches_ground_truth", "has_correct_answer", "answer_equal", "answer_matches")),
        {"verification": "failed"}, {"llm_judge": "incorrect"}, {"gpt4o_verdict": "incorrect"}, {"check": "fail"},
        {"answer_status": "wrong"}, {"right_or_wrong": "wrong"}, {"verdicts": ["wrong"]}, {"answer_wrong": True},
        {"metadata": {"eval": {"correct": False}}}, {"evals": {"correct": 0}}, {"scores": {"accuracy": 0.0}},
        {"model_output": {"correct": False}}, {"labels": {"correct": False}}, {"reward_model": {"score": 0}},
        {"annotations": [{"correct": False}, {"correct": False}]}, {"results": '{"correct": false}'},
        {"not_correct": True}, {"is_not_correct": 1},
    ] + [
        {name: value} for name in (
            "if_right", "is_match", "test_passed", "unit_tests_pass", "r1_correctness", "verified", "is_verified", "is_valid", "valid",
            "keep", "is_kept", "approved", "response_valid", "isGood", "no_error", "are-all-tests-passed",
            "result_is_right", "passes_filter", "checks_passed", "verification_passed", "keepRow", "validResponse", "succeeded",
            "orm_label", "是否合格", "答对", "final_answer_correct", "VerifierPassed2", "答案是否正确", "是否保留", "有效", "评分", "not_wrong",
        )
        for value in (False, 0, "no", "False")
    ] + [
        {name: value} for name in (
            "has_error", "is_error", "hallucination", "is_bad", "filtered", "deleted", "flagged", "discard", "is_rejected", "to_remove",
            "is_refusal", "contaminated", "not_verified", "is_not_valid", "response_is_invalid", "should_delete", "hasHallucination",
            "isWrong", "is_failure", "failed_verification", "needs_removal", "low_quality", "drop_sample", "is_garbled", "做错", "is_mistake", "已删除", "是否错误", "not_kept",
        )
        for value in (True, 1, "yes")
    ] + [
        *({name: False} for name in ("verification", "verify", "llm_judge", "deepseek_grade", "true_false", "verify_result")),
        {"verify_result": [False]}, {"is_consistent": False, "consistency_analysis": "They differ."}, {"deepseek_grade": "No"}, {"grade": "F"}, {"gpt_eval": "False"}, {"status": "rejected"},
        {"review_status": "Rejected"}, {"state": "invalid"}, {"label": "incorrect", "gt": "A"}, {"label": "wrong"}, {"correct": -1},
        {"score": -1}, {"reward": -1.0}, {"correct": {"value": False}}, {"correct": [{"value": 0}]}, {"is_correct": "falsch"},
        {"correct": "faux"}, {"correct": "неверно"}, {"feedback": "thumbs_down"}, {"rating": "bad"}, {"quality": "discard"},
        {"审核状态": "拒绝"}, {"审核结果": "不通过"}, {"grade_label": "incorrect"}, {"qwen_judge": "incorrect"}, {"row_status": "deleted"},
        {"responses": [{"status": "discarded", "values": {}}]}, {"responses": [{"status": "submitted", "values": {"correct": {"value": "no"}}}]},
        {"quality.responses": [{"status": "submitted", "value": "bad"}]}, {"correct.suggestion": "no"}, {"quality": {"value": "bad"}},
        {"annotations": [{"result": [], "was_cancelled": True}]}, {"desirable": False}, {"状态": "已删除"}, {"质量": "差"},
        {"annotations": [{"result": [{"from_name": "correct", "type": "choices", "value": {"choices": ["Incorrect"]}}], "was_cancelled": False}]},
        {"score": "0%"}, {"judge_score": "0/10"}, {"judge_response": "The answer is INCORRECT."}, {"evaluation": "They differ. Verdict: FAIL"},
        {"correctness": {"math_verify": False, "llm": False}},
        {"metadata": {"keep": False}}, {"extra_info": {"has_error": True}}, {"eval": {"is_valid": 0}},
    ] + [
        {"error_free": False}, {"mismatch": True}, {"answer_mismatch": 1}, {"disagrees_with_gold": True}, {"differs_from_reference": 1}, {"aborted": True},
        {"annotator_1": "incorrect"}, {"reviewer": "wrong"}, {"majority_vote": "incorrect"}, {"judge_votes": [False, False]}, {"qa_status": "REJECTED"},
        {"korrekt": False}, {"correcto": "no"}, {"richtig": "nein"}, {"верно": "нет"}, {"标注": "驳回"},
        {"preference": "undesirable"}, {"overall_rating": "unacceptable"}, {"rewards": {"accuracy_reward": 0.0, "format_reward": 1.0}},
        {"evaluation": {"final": {"is_correct": False}}}, {"logs": {"grader": {"passed": False}}}, {"checks": {"answer": "fail", "format": "pass"}},
        {"metrics": [{"name": "exact_match", "value": 0}]}, {"reward_breakdown": [{"name": "accuracy", "value": 0.0}, {"name": "format", "value": 1}]},
        {"checks": [{"check": "answer_correct", "passed": False}]}, {"judges": [{"name": "a", "vote": "reject"}, {"name": "b", "vote": "reject"}]},
        {"suggestions": [{"question_name": "correct", "value": "no"}]}, {"scores": {"match": {"value": "I", "answer": "7"}}},
        {"metadata.score": 0.0}, {"meta.info.verdict": "wrong"}, {"extra_info.is_correct": "False"}, {"assessment": {"correct": False}},
    ]),
    (CUT, [
        *({name: False} for name in ("generation_is_complete", "completed", "finish", "ended", "reached_eos", "is_terminated",
                                     "is_end", "response_finished", "thinking_complete", "think_closed", "has_end_think",
                                     "thinking_closed", "think_finished", "has_eos")),
        *({name: True} for name in ("truncation", "is_clipped", "truncated_response", "thought_truncated", "answer_cut_off", "trunc", "was_trunc")),
        *({name: "length"} for name in ("finish", "finish_state", "finish_type", "completion_reason", "generation_status",
                                        "exit_reason", "was_stopped", "response_status", "end_status")),
        {"over_length": True}, {"is_overlength": 1}, {"finish_reason": "FINISH_LENGTH"}, {"metadata": {"generation": {"finish_reason": "max_tokens"}}}, {"reached_max_steps": True}, {"native_finish_reason": "MAX_TOKENS"},
        {"length_capped": True}, {"truncated_by": "max_len"},
    ]),
    ("nothing in it is marked to be learned", [
        {name: False} for name in ("train_on_this", "include_loss", "used_for_training", "selected_for_training", "apply_loss",
                                     "usable_for_training", "ok_to_train", "output_with_loss", "trained", "row_weight")
    ]),
    (NOTED, [
        {name: value} for name in ("correctness_count", "pass_rate", "pass_rate_72b_tir", "num_correct", "pass_at_1", "pass@1",
                                   "solve_rate", "success_rate", "acc_avg_at_8", "avg_reward")
        for value in (0, 0.0, "0", "0/8")
    ] + [
        {name: value} for name in ("quality", "overall_quality", "response_quality", "quality_score", "rating", "human_rating")
        for value in (0, 1, 3.5, "2", "poor")
    ] + [
        {name: False} for name in ("qwen_correct", "majority_correct", "is_best", "is_chosen", "selected", "consistent", "claude_grade", "gpt4o_correct", "gpt_4o_is_correct", "gpt4_passed", "correct_gpt4", "is_consistent", "result", "stop",
                                   "problem_is_valid", "solution_is_valid", "answer_verified", "human_verified", "checked",
                                   "used_in_training", "train_on_all", "my_loss")
    ] + [
        {name: True} for name in ("timed_out", "is_test", "is_validation", "held_out", "in_test_set", "is_negative", "is_partial",
                                  "question_is_invalid", "wrong_answer")
    ] + [
        {name: part} for name in ("subset", "fold", "partition", "dataset_split", "split_name") for part in ("test", "eval", "val")
    ] + [
        {"category": "wrong"}, {"type": "incorrect"}, {"group": ["algebra", "bad"]}, {"errors": ["slip"]}, {"mistakes": 1},
        {"error_type": "calculation"}, {"drop_reason": "wrong"}, {"rejection_reason": "too long"}, {"is_false": True}, {"truncate": True}, {"train_on_prompt": True},
        {"error": "timeout"}, {"error_message": "rate limit"}, {"exception": "x"}, {"error": {"code": 500}},
        {"feedback": "negative"}, {"loss_on": "last"}, {"tags": ["wrong", "algebra"]}, {"flags": "truncated"},
        {"split": "test"}, {"split": "Validation"}, {"thumbs": "down"}, {"reward_model": 0.0}, {"prm_score": 0.2},
        {"gpt_score": 3}, {"label": 0, "answer": "A"}, {"label": -1, "gt": "A"}, {"quality_label": "low"}, {"truncated_at": 4096},
        *({name: "The sum in step 2 is wrong."} for name in ("comment", "note", "notes", "issue", "issues", "critique", "evaluation", "err",
                                                             "mistake", "rejected_reason", "review")),
        {"critique": "The response is wrong."}, {"备注": "答案错误"}, {"comment": "wrong"},
        *({"error": text} for text in ("Connection timed out", "HTTP 500", "no answer found", "wrong format")),
        {"labels": ["incorrect"]}, {"flags": ["hallucination"]}, {"result": "WA"}, {"result": "TLE"}, {"sample_type": "neg"},
        {"category": "bad_case"}, {"action": "delete"}, {"decision": "reject"}, {"label.responses": ["reject"]},
        {"cancelled_annotations": 1}, {"correctness": {"math_verify": True, "llm": False}}, {"judge_score": "7/10"}, {"score": "10%"},
        {"reward": -0.5}, {"rm_score": -7.3}, {"verification": 0}, {"grade": "C"}, {"label": "incorrect", "options": ["x", "y"]},
    ] + [
        {"consensus": False}, {"agreement": 0.0}, {"is_noise": True}, {"outlier": 1}, {"deprecated": True}, {"overflow": True}, {"advantage": -1.4}, {"tier": "reject"}, {"reaction": "\U0001f44e"}, {"emoji": "❌"}, {"mark": "✘"},
        {"unsolved": 1}, {"needs_review": True}, {"stopped_by": "budget"}, {"hits": 0}, {"num_errors": 3}, {"mistake_count": 1},
        {"eval": "FAIL: expected 5"}, {"verification": "Incorrect. The sum is 5."}, {"issues": ["final answer does not match"]},
        {"votes": {"correct": 0, "incorrect": 3}}, {"votes": {"correct": 1, "incorrect": 2}}, {"votes_for": 0, "votes_against": 3}, {"upvotes": 0, "downvotes": 5},
        {"votes": ["wrong", "wrong", "right"]}, {"correct": True, "split": "test"}, {"scores": {"match": {"value": "P", "answer": "7"}}},
        {"responses": [{"status": "submitted", "values": {"corrected_response": {"value": "It is B."}}}]},
        *({"annotations": [{"result": [{"from_name": name, "type": kind, "value": {kind: value}}]}]}
          for name, kind, value in (("q", "rating", 1), ("fix", "text", ["It is B."]))),
    ] + [
        *({name: value} for name in ("stars", "likert", "rating", "quality") for value in (1, 2, 6, 50, "1/5", "3/5", "20%")),
        *({name: value} for name, value in (("step_labels", [1, 1, -1]), ("step_labels", "[1, 0]"), ("step_correctness", [True, False]), ("process_labels", ["+", "-"]),
                                            ("completions_labels", [True, False]), ("step_ratings", [1, -1]), ("steps", [{"step": "a", "score": 0.0}]),
                                            ("steps", [{"text": "a", "label": "+"}, {"text": "b", "label": "-"}]))),
    ]),
    ("", [
        {name: 0.25} for name in ("correctness_count", "pass_rate", "solve_rate", "pass_at_1")
    ] + [
        {"pass_rate": "n/a"}, {"pass_rate": None}, {"quality": "high"}, {"filtered": False}, {"split": "train"}, {"tags": ["algebra"]},
        {"category": "algebra"}, {"type": "False"}, {"class": "F"}, {"errors": []}, {"error_type": None}, {"is_false": False},
        {"true_false": True}, {"is_closed": False}, {"mask_history": True}, {"train_on_inputs": False},
        {"error": None}, {"error": "none"}, {"error_message": ""}, {"is_best": True}, {"check": "gpt-4o"}, {"finish": "stop"},
        {"reward_model": {"style": "rule", "ground_truth": "0"}}, {"stopped": True}, {"verification": "I check it: 1 + 1 = 2."},
        {"annotations": [{"correct": False}, {"correct": True}]}, {"label": "A"}, {"label": 0}, {"label": "no"},
        {"label": 0, "answer": "A", "options": ["x", "y"]}, {"generation_config": {"truncation": True}},
    ] + [
        *({name: text} for name in ("error_analysis", "valid_answers", "correct_answer", "right_answer", "true_label", "target", "wrong_answers",
                                    "bad_example", "correct_option", "错误分析", "正确答案", "verified_by", "pass_criteria", "right_label", "correct_response")
          for text in ("no", "False", "wrong", "B", "It is false that 1 = 2.")),
        *({name: number} for name in ("keep_prob", "pass_rate", "solve_rate", "acc_avg_at_8", "difficulty", "drop_rate", "error_rate",
                                      "accept_threshold", "valid_count", "filter_size", "good_ratio", "temperature") for number in (0.1, 0.5, 3.7)),
        *({name: number} for name in ("difficulty", "keep_prob", "error_count", "valid_count", "num_errors", "filter_size", "wrong_count",
                                      "drop_rate", "hallucination_rate", "test_score", "state_code", "match_id") for number in (0, 0.0)),
        {"target": False}, {"target": 0}, {"label": "rejected", "question": "Is the hypothesis rejected?"}, {"label": "cat"}, {"state": "Ohio"},
        {"result": "rejected by 3 to 2"}, {"feedback": "no"}, {"review": "No"}, {"weights": 0}, {"labels": False}, {"include_reasoning": False}, {"exclude_reasoning": True}, {"keep_reasoning": False}, {"use_tools": "no"}, {"outcome": "heads"}, {"used_in_training": "Ultra"}, {"train_file": "a.json"}, {"train_loss": 0.0},
        {"loss_type": "mse"}, {"training_step": 0}, {"learning_rate": 0}, {"weight_kg": 0}, {"verifier": "math_verify"}, {"good": 0.7},
        {"valid": 0.98}, {"keep": "both hands on the wheel"}, {"drop": 0.5}, {"error": "none"}, {"error": 0.02}, {"flagged": False},
        {"is_test": False}, {"fold": 3}, {"fold": "train"}, {"subset": "algebra"}, {"subset": "testing of hypotheses"}, {"partition": "2"},
        {"finish_reason": "FINISH_STOP"}, {"no_error": True}, {"not_wrong": True}, {"is_match": True}, {"true_false": True}, {"grade": "A"},
        {"correct": {"value": True}}, {"mask": "User"}, {"reviewed": None}, {"critique": "The response is right."},
        *({name: text} for name in ("comment", "note", "issues", "critique", "evaluation", "备注")
          for text in ("All steps hold, and the sum is correct.", "none", "", "nothing wrong", "Is it wrong?", "algebra", "无")),
        *({"error": text} for text in ("no errors found", "None found", "0.3%", "", "ok")), {"error_rate": "1 of 9"},
        {"responses": [{"status": "submitted", "values": {"correct": {"value": "yes"}}}]}, {"responses": [{"status": "draft", "values": {}}]},
        {"responses": [{"model": "x", "correct": False}]}, {"quality.responses": [{"status": "submitted", "value": "good"}]},
        {"label.responses": ["algebra"]}, {"annotations": [{"was_cancelled": False, "result": []}], "cancelled_annotations": 0},
        {"annotations": [{"result": [{"from_name": "correct", "value": {"choices": ["Correct"]}}]}]},
        {"annotations": [{"result": [{"from_name": "box", "value": {"x": 0, "rectanglelabels": ["Car"]}}]}]},
        {"correctness": {"math_verify": True, "llm": True}},
        {"desirable": True}, {"decision": "accept"}, {"action": "run"}, {"result": "AC"}, {"labels": ["algebra"]}, {"labels": ["False"]},
        {"flags": ["geometry"]}, {"sample_type": "positive"}, {"judge_response": "The answer is correct."}, {"状态": "正常"}, {"质量": "好"},
    ] + [
        {"error_free": True}, {"mismatch": False}, {"annotator_1": "correct"}, {"annotator": "B"}, {"annotator": "anna"}, {"annotator_id": 0}, {"reviewer": "C"},
        *({"majority_vote": value} for value in ("12", "no", 0, "B", "correct")), {"judge_votes": [True, True]}, {"qa_status": "ok"}, {"richtig": "ja"}, {"aborted": False},
        {"consensus": True}, {"consensus": 0.9}, {"agreement": 1.0}, {"outlier": 0}, {"noise": 0.1}, {"tier": 1}, {"tier": "gold"}, {"reaction": "\U0001f44d"},
        {"needs_review": False}, {"requires_check": "no"}, {"hits": 3}, {"num_errors": 0}, {"n_wrong_options": 3}, {"truncated_by": None}, {"stopped_by": "eos"},
        {"votes": {"correct": 3, "incorrect": 0}}, {"votes": {"A": 3, "B": 0}}, {"votes": 0}, {"votes": 12}, {"upvotes": 5, "downvotes": 1}, {"downvotes": 5},
        {"votes_for": 3, "votes_against": 0}, {"eval": "PASS: as expected"}, {"verification": "Correct: it holds."}, {"free_response_score": 1}, {"free_form": True},
        {"scores": {"match": {"value": "C", "answer": "7", "explanation": "x"}}}, {"metrics": {"loss": 0.1}}, {"checks": {"answer": "pass"}},
        {"metrics": [{"name": "length", "value": 0}, {"name": "bleu", "value": 0.3}]}, {"tests": [{"input": "1", "output": "0"}]}, {"tags": ["false", "logic"]},
        {"is_accepted": True, "score": 0}, {"is_accepted": True, "score": 12}, {"subreddit": "math", "score": 3}, {"masked": True, "pii": "none"},
        {"responses": [{"status": "submitted", "values": {"correct": {"value": "yes"}}}], "suggestions": [{"question_name": "correct", "value": "no"}]},
        {"annotations": [{"result": [{"from_name": "q", "type": "rating", "value": {"rating": 5}}]}]}, {"passed": "3/3"}, {"score": "100%"}, {"matching": None},
        *({name: value} for name in ("stars", "rating", "quality_score", "likert") for value in (4, 4.5, 5, 8, 10, 90, 0.9, "5/5", "9/10", "90%")),
        *({name: 0.93} for name in ("score", "prm_score", "reward", "accuracy")), {"score": "0.93"}, {"stars": 1200}, {"stars": 12, "repo_name": "a/b"},
        {"metadata.answer": "no"}, {"metadata.weight": 0}, {"run.loss": 0.0}, {"image.score": 0}, {"home.info.score": 0}, {"metadata.score": 1}, {"advantage": 1.2}, {"advantage": 0.0}, {"advantage": "speed"},
        {"is_matching": False}, {"noise": 1}, {"result": {"correct_answer": "B"}}, {"metrics": {"bleu": 0.2}}, {"checks": ["units"]},
        *({name: value} for name, value in (("step_labels", [1, 1, 1]), ("step_labels", ["+", "+"]), ("steps", ["Add 1.", "0", "A step."]), ("steps", 4),
                                            ("steps", [{"step": "a", "score": 0.9}]), ("steps", {"a": 0}), ("step_rewards", [0.5, 0.9]))),
        *({"correct": True, **more} for more in ({"rating": 2}, {"quality": "poor"}, {"reward": -0.5}, {"comment": "wrong"}, {"finish_reason": "paused"},
                                                 {"prm_score": 0.2}, {"human_verified": False}, {"category": "wrong"})),
    ]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expected", "marks"), [(expected, marks) for expected, rows in MARKS for marks in rows], ids=str
)
def test_what_becomes_of_a_row_with_a_mark(expected, marks):
    assert outcome(**marks) == expected


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"is_match_question": False}, ["is_match_question is False"]),
        ({"looked_at": True, "n": 3}, ["looked_at is True"]),
        ({"qwq_critique": "bad"}, ["qwq_critique is bad"]),
        ({"looked_at": "No"}, ["looked_at is No"]),
        ({"looked_at": "✗"}, ["looked_at is ✗"]),
        ({"by_hand": [True, False]}, ["by_hand is a list"]),
        ({"metadata": {"looked_at": False}}, ["metadata.looked_at is False"]),
        ({"answer": True}, []),
        ({"true_label": "wrong"}, []),
        ({"options": ["wrong"], "b": "wrong"}, []),
        ({"domain": "correct"}, []),
    ],
    ids=str,
)
def test_a_yes_or_no_that_no_table_knows_is_told_and_not_guessed(columns, told):
    for row in (columns, {**columns, "chat": True}):
        found = read(**row) if "chat" not in row else read_chat(**columns)
        assert [note for note in found.notes if note.startswith(UNREAD)] == [f"{UNREAD}: {name}" for name in told]


def read_chat(message={}, **columns):
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": RESPONSE, **message}]
    (part,) = read_row({"id": "r", "messages": messages, **columns}, "long_thought").parts
    return part


def test_a_yes_or_no_of_a_message_that_no_table_knows_is_told():
    assert read_chat({"looked_at": False}).notes == (f"{UNREAD}: looked_at of a message is False",)
    assert read_chat({"name": "bot"}).notes == ()


def test_what_is_said_of_one_teacher_is_not_said_of_another_that_the_entry_names():
    row = {
        "question": "Which?",
        "r1_solution": RESPONSE.replace("A is", "B is"),
        "qwq_solution": RESPONSE,
        "r1_correctness": False,
    }
    for column, expected in (("qwq_solution", ""), ("r1_solution", WRONG)):
        (part,) = read_row(row, "long_thought", Options(columns={"question": "question", "response": column})).parts
        assert getattr(part, "reason", "") == expected


def test_a_row_for_kto_has_its_verdict_in_its_label():
    for label, expected in ((False, WRONG), (True, "")):
        row = {"prompt": "Which?", "completion": RESPONSE, "label": label}
        for options in (Options(), Options(columns={"response": "completion"})):
            (part,) = read_row(row, "long_thought", options).parts
            assert getattr(part, "reason", "") == expected


KTO = {
    "chat": lambda response: {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": response}]},
    "conversations": lambda response: {"conversations": [{"from": "human", "value": "Which?"}, {"from": "gpt", "value": response}]},
    "alpaca": lambda response: {"instruction": "Which?", "input": "", "output": response},
    "question": lambda response: {"question": "Which?", "response": response},
}  # fmt: skip
NO = "<think>\nIt is left of it.\n</think>\n\n"


def fate(row, **options):
    (part,) = read_row(row, "long_thought", Options(**options)).parts
    if not isinstance(part, Example):
        return part.reason

    return NOTED if "mark not understood: label" in part.notes else ""


@pytest.mark.parametrize("form", KTO)
def test_a_label_of_false_is_ktos_where_it_can_be_nothing_else(form):
    expected = NOTED if form == "question" else WRONG
    assert fate({**KTO[form](RESPONSE), "label": False}) == expected
    assert fate({**KTO[form](RESPONSE), "label": True}) == ""
    assert fate({**KTO[form](RESPONSE), "label": False, "answer": "A"}) == NOTED
    assert fate({**KTO[form](RESPONSE), "label": False, "options": ["x", "y"]}) == NOTED
    for answer in (
        "No.",
        "No, it is not.",
        "The statement is **false**.",
        "It is \\boxed{\\text{No}}.",
        "The answer is no: see above.",
    ):
        assert fate({**KTO[form](NO + answer), "label": False}) == NOTED


def test_the_entry_may_name_the_verdict_of_kto():
    columns = options_of({"columns": {"kto_tag": "label"}}).columns
    for label, expected in ((False, WRONG), (True, "")):
        for form in KTO.values():
            assert fate({**form(NO + "No."), "label": label}, columns=columns) == expected


def test_what_is_said_of_a_model_counts_where_its_response_is_learned():
    row = {
        "question": "Which?",
        "gemini_thinking_trajectory": "A is larger, by far.",
        "gemini_attempt": "It is \\boxed{A}.",
        "gemini_grade": "No",
    }
    other = {name.replace("gemini", "deepseek"): value for name, value in row.items()}
    other |= {"deepseek_thinking_trajectory": "B is smaller, by far.", "deepseek_grade": "Yes"}
    assert fate(row) == WRONG
    assert fate({**row, "gemini_grade": "Yes"}) == ""
    assert outcome(gemini_response="It is B, since " * 9, gemini_grade="No") == NOTED  # perhaps a judge's
    for model, expected in (("gemini", WRONG), ("deepseek", "")):
        columns = {"thought": f"{model}_thinking_trajectory", "solution": f"{model}_attempt"}
        (part,) = read_row({**row, **other}, "long_thought", Options(columns=columns)).parts
        assert getattr(part, "reason", "") == expected and not getattr(part, "notes", ())


def test_of_two_models_whose_thoughts_are_alike_the_mark_of_the_one_that_is_learned_counts():
    row = {"question": "Which?", "deepseek_thinking_trajectory": "A is larger.", "deepseek_attempt": "It is A."}
    row |= {"gemini_thinking_trajectory": "So: A is larger.", "gemini_attempt": "It is A.", "gemini_grade": "No"}
    assert fate({**row, "deepseek_grade": "Yes"}) == ""
    assert fate({**row, "deepseek_grade": "No"}) == WRONG
    tagged = {"deepseek_reasoning": "<think>A is larger.</think>", "deepseek_grade": "No"}
    assert fate({"question": "Which?", "thought": "A is larger.", "solution": "It is A.", **tagged}) == WRONG
    columns = {"thought": "gemini_thinking_trajectory", "solution": "gemini_attempt"}
    for grade, expected in (("Yes", "No"), ("No", "No")):
        (part,) = read_row({**row, "deepseek_grade": grade}, "long_thought", Options(columns=columns)).parts
        assert (part.reason, part.detail) == (WRONG, f"gemini_grade is {expected!r}")


OTHERS = st.sampled_from(
    "home away game player image picture team visitor image_text difficulty toxicity topic exam sat map weather movie "
    "option distractor step triangle ocr chart credit city tax box bbox frame video".split()
)
ASPECTS = st.sampled_from(
    "score scores reward rating quality match pass result status state truncated complete finished error filtered "
    "hit reject good bad success wrong cut accuracy".split()
)
THINGS = st.sampled_from(
    "answer answers option options letter choice index format type id label_name text explanation url unit".split()
)
OF_THINGS = st.builds(
    "{}_{}".format, st.sampled_from(["correct", "wrong", "incorrect", "best", "score", "label"]), THINGS
).filter(lambda name: name != "wrong_answer")  # a distractor, or a mark: a yes is noted
VALUES = st.sampled_from(
    [0, 1, 0.0, 3, 0.4, False, True, "0", "no", "wrong", "incorrect", "failed", "length", "A", ["wrong"], [0]]
)


OF_OTHERS = st.builds("{}_{}".format, ASPECTS, OTHERS).filter(
    lambda name: name != "error_step"
)  # where a thought goes wrong


@given(st.builds("{}_{}".format, OTHERS, ASPECTS) | OF_OTHERS | OF_THINGS, VALUES)
def test_a_column_of_another_purpose_is_no_mark(name, value):
    assert kinds_of(name) <= {Kind.NESTED}, name
    assert outcome(**{name: value}) == ""


def test_the_usual_columns_say_nothing_where_they_are_looked_at(monkeypatch):
    usual = names._USUAL
    monkeypatch.setattr(names, "_USUAL", frozenset())
    assert not any(map(kinds_of.__wrapped__, usual))


@given(
    st.sampled_from(["question", "game", "state_of_game", "scene", "table", "input_data", "image_info_of_scene"]),
    ASPECTS,
    VALUES,
)
def test_an_object_of_another_purpose_has_no_marks(column, name, value):
    row = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": RESPONSE}]}
    (part,) = read_row({**row, column: {name: value}}, "long_thought").parts
    assert isinstance(part, Example)
    assert not [note for note in part.notes if not note.startswith(NOT_TRAINED_BESIDE_CHAT)]


@pytest.mark.parametrize(
    ("mark", "question"),
    [
        ({"valid": False}, "Is this syllogism valid?"),
        ({"has_error": True}, "Does this program have an error?"),
        ({"is_hallucination": 1}, "Is the caption a hallucination?"),
    ],
    ids=str,
)
def test_whether_something_is_to_be_used_that_is_asked_for_is_not_guessed(mark, question):
    assert outcome(question=question, **mark) == NOTED
    assert outcome(**mark) == WRONG
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": RESPONSE}]
    (part,) = read_row({"messages": messages, **mark}, "long_thought").parts
    assert part.notes == (f"mark not understood: {next(iter(mark))}",)
    messages = [
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": RESPONSE.replace("A is", question)},
    ]
    assert read_row({"messages": messages, **mark}, "long_thought").parts[0].reason == WRONG


@pytest.mark.parametrize(
    ("name", "word"), [("score", "score"), ("final_score", "score"), ("reward", "reward"), ("match", "match")]
)
def test_a_column_that_holds_what_is_asked_for_is_no_verdict(name, word):
    question = f"What is the {word} of the home team?"
    assert outcome(question=question, answer="0", **{name: 0}) == NOTED
    assert outcome(question=question, answer="4", **{name: 0}) == WRONG
    assert outcome(question="How many?", answer="0", **{name: 0}) == WRONG


@given(
    st.sampled_from(["label", "answer", "gt", "ground_truth", "solution", "target", "gold"]),
    st.sampled_from(list("ABCDE")),
)
def test_the_letter_of_the_gold_answer_is_no_mark(name, letter):
    assert outcome(**{name: letter}, options=["x", "y"]) == ""
