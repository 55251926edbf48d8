"""Every action from the menu to its end, and edits from a diagnostic to the bytes of the document and back.

The starter is small: what it writes is judged by what the server promises, not by its wisdom. An edit that is applied
parses no worse than before and is undone byte for byte; one that is not comes with the reason and leaves all as it was.
"""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_python
import tree_sitter_rust
from editor import position_at
from lsprotocol import types
from pyflakes.checker import Checker

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = Path(__file__).parent / "samples"
GRAMMARS = {"python": tree_sitter_python, "rust": tree_sitter_rust}
LANGUAGES = {".py": "python", ".rs": "rust"}
TOKENS = itertools.count(1)


def sample(client, name: str, line_break: str = "\n") -> tuple[str, str]:
    """Opens a copy of a sample of its own; URI and text."""
    text = (SAMPLES / name).read_text().replace("\n", line_break)
    path = client.root / f"case{next(TOKENS)}" / name
    path.parent.mkdir()
    path.write_bytes(text.encode())
    uri = path.as_uri()
    client.editor.open(uri, LANGUAGES[path.suffix], text)
    return uri, text


def errors(language: str, text: str) -> int:
    """Stretches of `text` that fit no rule of its grammar, and tokens that are missing."""
    parser = tree_sitter.Parser(tree_sitter.Language(GRAMMARS[language].language()))
    count, nodes = 0, [parser.parse(text.encode()).root_node]
    while nodes:
        node = nodes.pop()
        count += node.is_error or node.is_missing
        nodes += node.children
    return count


def without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def diagnostics(uri: str, text: str) -> list[types.Diagnostic]:
    """What Python itself, and if it has no complaint pyflakes, says about `text`."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        start = types.Position(error.lineno - 1, max(error.offset - 1, 0))
        found = [(start, start, error.msg, "python")]
    else:
        starts = [0, *itertools.accumulate(len(line) for line in text.splitlines(keepends=True))]
        found = []
        for message in Checker(tree, filename=uri).messages:
            start = starts[message.lineno - 1] + message.col
            place = position_at(text, start), position_at(text, start + len(str(message.message_args[0])))
            found.append((*place, message.message % message.message_args, "pyflakes"))
    severity = types.DiagnosticSeverity.Error
    return [
        types.Diagnostic(types.Range(start, end), message, severity=severity, source=source)
        for start, end, message, source in sorted(found, key=lambda place: (place[0].line, place[0].character))
    ]


async def offered(client, uri: str, place: types.Range, problems=()) -> list[types.CodeAction]:
    context = types.CodeActionContext(list(problems))
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), place, context)
    return await client.text_document_code_action_async(params)


async def choose(client, action: types.CodeAction) -> dict:
    """Runs the command of `action` as a client does; its result."""
    token = f"work-{next(TOKENS)}"
    client.progress_reports[token] = []
    command = action.command
    params = types.ExecuteCommandParams(command.command, command.arguments, work_done_token=token)
    result = await client.workspace_execute_command_async(params)
    return as_dict(result)


def as_dict(result) -> dict:
    return result if isinstance(result, dict) else result._asdict()


def at_line(text: str, needle: str) -> types.Range:
    position = position_at(text, text.index(needle))
    return types.Range(position, position)


def at_start(problem: types.Diagnostic) -> types.Range:
    return types.Range(problem.range.start, problem.range.start)


async def check_edit(client, uri: str, action: types.CodeAction) -> bool:
    """Chooses an action that edits and checks what the server promises; whether it was applied."""
    editor = client.editor
    before, edits, messages = editor.documents[uri].text, len(editor.applied), len(editor.messages)
    language, others = editor.documents[uri].language, set(editor.documents)
    result = await choose(client, action)
    if not result["applied"]:
        print(f"{action.title}: {result['reason']}")
        assert result["reason"], "the person is told why"
        # The answer and the message to the person may come in any order.
        await editor.wait_until(lambda: any(result["reason"] in message for message in editor.messages[messages:]))
        assert editor.documents[uri].text == before and len(editor.applied) == edits
        return False
    await editor.wait_until(lambda: len(editor.applied) > edits)
    applied = editor.applied[edits]
    assert applied.label == action.title
    if list(applied.before.values()) == [None]:
        (created,) = set(editor.documents) - others
        assert errors(language, editor.documents[created].text) == 0
    else:
        after = editor.documents[uri].text
        assert list(applied.before) == [uri] and after != before
        assert errors(language, after) <= errors(language, before)
        if action.title.startswith("Document") and language == "python":
            assert without_docstrings(after) == without_docstrings(before)
        assert after.count("\r\n") == (after.count("\n") if "\r\n" in before else 0)
    editor.undo(applied)
    assert editor.documents[uri].text.encode() == before.encode()
    assert set(editor.documents) == others
    return True


async def check_action(client, title: str, places: list[tuple[str, str]], line_break: str = "\n") -> int:
    """Chooses the action whose title begins so at each (sample, text of a line); how many edits were applied."""
    applied = 0
    for name, needle in places:
        uri, text = sample(client, name, line_break)
        actions = await offered(client, uri, at_line(text, needle))
        (action,) = [action for action in actions if action.title.startswith(title)]
        applied += await check_edit(client, uri, action)
        client.editor.close(uri)
    print(f"{title}: {applied} of {len(places)} were applied")
    return applied


FUNCTIONS = [
    ("shapes.py", "def circle_area"),
    ("shapes.py", "def rectangle_area"),
    ("shapes.py", "def perimeter"),
    ("words.py", "def count"),
    ("words.py", "def longest"),
    ("words.py", "def is_palindrome"),
    ("bank.rs", "pub fn balance"),
    ("bank.rs", "pub fn is_overdrawn"),
]


async def test_the_menu_is_the_same_for_every_client(client):
    uri, text = sample(client, "undefined.py")
    problems = diagnostics(uri, text)
    actions = await offered(client, uri, at_start(problems[0]), problems[:1])
    titles = [action.title for action in actions]
    for title in ("Fix", "Explain this problem", "Explain this function", "Refactor", "Document", "Write tests"):
        assert any(found.startswith(title) for found in titles), f"{title} is not in {titles}"
    assert all(action.edit is None and action.command for action in actions)
    fixes = [action for action in actions if action.kind == types.CodeActionKind.QuickFix]
    assert [list(action.diagnostics) for action in fixes if action.title.startswith("Fix")] == [problems[:1]]
    client.editor.close(uri)


async def test_code_is_explained(client):
    uri, text = sample(client, "shapes.py")
    actions = await offered(client, uri, at_line(text, "def circle_area"))
    (action,) = [action for action in actions if action.title.startswith("Explain")]
    result = await choose(client, action)
    assert not result["applied"] and result["text"], result
    assert client.editor.documents[uri].text == text
    await client.editor.wait_until(lambda: any(result["text"] in shown for shown in client.editor.shown))
    client.editor.close(uri)


async def test_a_problem_is_explained(client):
    uri, text = sample(client, "undefined.py")
    problem = diagnostics(uri, text)[0]
    actions = await offered(client, uri, at_start(problem), [problem])
    (action,) = [action for action in actions if action.title.startswith("Explain this problem")]
    result = await choose(client, action)
    assert not result["applied"] and result["text"], result
    client.editor.close(uri)


async def test_problems_are_fixed_or_it_is_said_why_not(client):
    applied = 0
    for name in ("undefined.py", "syntax.py"):
        uri, text = sample(client, name)
        problems = diagnostics(uri, text)
        assert problems, name
        for problem in problems:
            actions = await offered(client, uri, at_start(problem), [problem])
            (action,) = [action for action in actions if action.title.startswith("Fix")]
            applied += await check_edit(client, uri, action)
        client.editor.close(uri)
    assert applied > 0


@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["lf", "crlf"])
async def test_functions_are_refactored(client, line_break):
    assert await check_action(client, "Refactor", FUNCTIONS, line_break) > 0


async def test_functions_are_documented_or_it_is_said_why_not(client):
    # The starter changes the code while it documents it, which is not let through.
    await check_action(client, "Document", FUNCTIONS[::2])


async def test_tests_are_written_or_it_is_said_why_not(client):
    await check_action(client, "Write tests", FUNCTIONS[::2])


async def test_an_edit_for_code_that_changed_meanwhile_is_not_applied(client):
    uri, text = sample(client, "shapes.py")
    actions = await offered(client, uri, at_line(text, "def circle_area"))
    (action,) = [action for action in actions if action.title.startswith("Document")]
    edit = types.TextEdit(at_line(text, "def circle_area"), "# 𝒙\n")
    client.editor._edit(uri, [edit])
    changed, edits = client.editor.documents[uri].text, len(client.editor.applied)
    result = await choose(client, action)
    assert not result["applied"] and "changed" in result["reason"], result
    assert client.editor.documents[uri].text == changed and len(client.editor.applied) == edits
    client.editor.close(uri)


async def test_changes_of_source_files_are_asked_for(client):
    methods = {registration.method for registration in client.registered}
    assert types.WORKSPACE_DID_CHANGE_WATCHED_FILES in methods
