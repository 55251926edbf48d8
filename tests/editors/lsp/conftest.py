"""The server with the starter in both roles, where there is no network or behind a model server, for a generic client."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Union

import pytest_lsp
from editor import Editor
from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp import ClientServerConfig, LanguageClient
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

SERVER = os.environ["PHI_LS_BIN"]


def without_network() -> list[str]:
    """What runs the server where there is no network, unless it has a model server to ask. Only Linux has this."""
    if "PHI_LS_TEST_BACKEND" in os.environ or sys.platform != "linux":
        return []
    for way in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if subprocess.run([*way, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return way
    assert "CI" not in os.environ, "expected to be allowed a network namespace (`unshare --net`)"
    return []


def capabilities() -> types.ClientCapabilities:
    """What any client may be expected to say; nothing that only phi-ls knows."""
    edit = types.WorkspaceEditClientCapabilities(
        document_changes=True, resource_operations=[types.ResourceOperationKind.Create]
    )
    kinds = types.ClientCodeActionKindOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite])
    literals = types.ClientCodeActionLiteralOptions(kinds)
    return types.ClientCapabilities(
        workspace=types.WorkspaceClientCapabilities(
            apply_edit=True,
            workspace_edit=edit,
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
        text_document=types.TextDocumentClientCapabilities(
            code_action=types.CodeActionClientCapabilities(code_action_literal_support=literals),
        ),
        window=types.WindowClientCapabilities(
            work_done_progress=True, show_document=types.ShowDocumentClientCapabilities(support=True)
        ),
    )


def make_converter():
    """The library's, but that it takes every action that has a command for a mere command."""
    converter = default_converter()
    either = Union[types.Command, types.CodeAction]

    def command_or_action(value, _):
        return converter.structure(value, types.Command if isinstance(value.get("command"), str) else types.CodeAction)

    converter.register_structure_hook(either, command_or_action)
    return converter


def make_client() -> LanguageClient:
    client = LanguageClient(converter_factory=make_converter)
    client.editor = Editor(client)
    client.registered = []

    async def show_message(params: types.ShowMessageParams):
        await client.editor.show_message(params)

    async def show_document(params: types.ShowDocumentParams):
        return await client.editor.show_document(params)

    heard = {types.WINDOW_SHOW_MESSAGE: show_message, types.WINDOW_SHOW_DOCUMENT: show_document}
    register_lsp_features(client, {**DEFAULT_CLIENT_FEATURES, **heard})

    @client.feature(types.WORKSPACE_APPLY_EDIT)
    async def apply_edit(params: types.ApplyWorkspaceEditParams):
        return await client.editor.apply_edit(params)

    @client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(params: types.RegistrationParams):
        client.registered += params.registrations

    @client.feature("phi-ls/status")
    def status(params):
        """Any client may leave it unread."""

    return client


CONFIG = ClientServerConfig(server_command=[*without_network(), SERVER], client_factory=make_client)


@pytest_lsp.fixture(config=CONFIG, scope="module")
async def client(client: LanguageClient, tmp_path_factory):
    client.root = tmp_path_factory.mktemp("workspace")
    folder = types.WorkspaceFolder(client.root.as_uri(), "workspace")
    # Whatever it writes is shown: that is what the tests are about.
    completion = {"model": "starter", "confidence": "low"}
    one_model = {"completion": completion, "assistant": {"model": "starter", "maxTokens": 400}}
    if server := os.environ.get("PHI_LS_TEST_BACKEND"):
        for role in one_model.values():
            role["backend"] = {"kind": "openai", "baseUrl": server}
    params = types.InitializeParams(
        capabilities=capabilities(), workspace_folders=[folder], initialization_options=one_model
    )
    result = await client.initialize_session(params)
    assert result.capabilities.position_encoding == types.PositionEncodingKind.Utf16
    yield
    await client.shutdown_session()
