"""Tool servers: real MCP servers of the official SDK, as a process of ours and over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from regraft.domain.errors import ConfigError
from regraft.domain.ids import parse_json
from regraft.infra.config.tool_server import ToolServerSection
from regraft.infra.mcp.servers import ToolServerError, ToolServers
from regraft.infra.settings import load_settings
from support.tool_server import PROGRAM


def process(*arguments, **settings):
    return ToolServerSection(command=sys.executable, args=[PROGRAM, *(arguments or ("stdio",))], **settings)


@contextlib.contextmanager
def running_server(tmp_path):
    """A server over HTTP in a separate process; gives the process and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, PROGRAM, "http", str(port)], stdout=log, stderr=log)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield server, port
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def url(tmp_path):
    with running_server(tmp_path) as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(params=["stdio", "http"])
def config(request):
    """The settings of one server, reached in either way."""
    if request.param == "stdio":
        return process()
    return ToolServerSection(url=request.getfixturevalue("url"))


def asked(configs, *calls):
    """The results of calls, one after the other, and the definitions."""

    async def main():
        async with ToolServers(configs) as tools:
            return [await tools.call(name, arguments) for name, arguments in calls], tools.definitions()

    return asyncio.run(main())


def test_a_server_tells_its_tools_as_a_chat_request_lists_them_and_runs_them(config):
    (sum_, as_text), definitions = asked({"own": config}, ("add", {"a": 1, "b": 2.5}), ("add", '{"a":1,"b":2}'))
    assert (sum_.content, sum_.is_error) == ("3.5", False)
    assert (as_text.content, as_text.is_error) == ("3.0", False)
    assert sum_.seconds > 0
    add = next(each for each in definitions if each["function"]["name"] == "add")
    assert add["type"] == "function"
    assert add["function"]["description"] == "Add two numbers."
    assert set(add["function"]["parameters"]["properties"]) == {"a", "b"}


def test_a_tool_that_fails_says_so_to_the_model_and_the_server_goes_on(config):
    results, _ = asked({"own": config}, ("fail", {}), ("add", {"a": 1}), ("nothing", {}), ("add", {"a": 1, "b": 1}))
    assert [each.is_error for each in results] == [True, True, True, False]
    failed, wrong, unknown, _ = results
    assert "the database is closed" in failed.content
    assert "b" in wrong.content
    assert unknown.content.startswith("There is no tool nothing. The tools are: add, ")


def test_arguments_that_are_no_object_never_reach_the_tool():
    results, _ = asked({"own": process()}, ("add", "{a"), ("add", "[1]"), ("variable", ""), ("variable", None))
    assert [each.is_error for each in results] == [True] * 4
    assert results[0].content == results[1].content == "The arguments of add are not a JSON object."


def test_numbers_of_a_parsed_answer_can_be_arguments():
    (result,), _ = asked({"own": process()}, ("add", parse_json('{"a": 1, "b": 2.50}')))
    assert result.content == "3.5"


def test_a_tool_that_hangs_is_given_up_and_the_server_is_still_of_use(config):
    limited = config.model_copy(update={"timeout": 0.5})
    (hung, after), _ = asked({"own": limited}, ("hang", {}), ("add", {"a": 1, "b": 1}))
    assert (hung.is_error, hung.content) == (True, "The tool hang gave no result in 0.5 seconds.")
    assert after.is_error is False


def test_a_tool_that_blocks_its_server_is_given_up_and_the_server_is_ended():
    (hung,), _ = asked({"own": process(timeout=0.5)}, ("block", {}))
    assert hung.content == "The tool block gave no result in 0.5 seconds."


def test_what_is_no_text_comes_as_parts_of_a_chat_message(config):
    (picture, papers), _ = asked({"own": config}, ("picture", {}), ("papers", {}))
    assert picture.content == [
        {"type": "text", "text": "look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
    ]
    assert papers.content == [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "text", "text": "words"},
        {"type": "file", "file": {"filename": "file:///b.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "text", "text": "c <file:///c.txt>: the third"},
    ]


def test_calls_at_the_same_time_get_their_own_results(config):
    async def main():
        async with ToolServers({"own": config}) as tools:
            return await asyncio.gather(*(tools.call("add", {"a": n, "b": 0}) for n in range(20)))

    assert [each.content for each in asyncio.run(main())] == [f"{n}.0" for n in range(20)]


def test_a_server_that_dies_is_told_and_is_not_asked_again():
    async def main():
        async with ToolServers({"own": process()}) as tools:
            for name in ("die", "add"):
                with pytest.raises(ToolServerError, match="own"):
                    await tools.call(name, {"a": 1, "b": 1})

    asyncio.run(main())


def test_a_server_over_http_that_dies_is_told(tmp_path):
    async def main():
        with running_server(tmp_path) as (server, port):
            config = ToolServerSection(url=f"http://127.0.0.1:{port}/mcp")
            async with ToolServers({"far": config}) as tools:
                assert (await tools.call("add", {"a": 1, "b": 1})).content == "2.0"
                server.send_signal(signal.SIGKILL)
                server.wait()
                with pytest.raises(ToolServerError, match="far"):
                    await tools.call("add", {"a": 1, "b": 1})

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (ToolServerSection(command="/no/such/program"), "cannot be used"),
        (process("nonsense"), "Its last words: cannot serve nonsense"),
        (process("mute", start_timeout=1), "was not ready after 1 seconds. Its last words: cannot serve mute"),
        (ToolServerSection(url="http://127.0.0.1:9/mcp?key=hidden"), r"far \(http://127.0.0.1:9/mcp\) cannot be used"),
    ],
)
def test_a_server_that_does_not_start_is_told_with_its_name_and_why(config, why):
    with pytest.raises(ToolServerError, match=why) as raised:
        asked({"far": config})
    assert "hidden" not in str(raised.value)


def test_two_servers_with_a_tool_of_one_name_are_refused_until_one_of_them_offers_others():
    with pytest.raises(ConfigError, match="first and second both have a tool add"):
        asked({"first": process(), "second": process()})
    few = process(only=["var*"])
    results, definitions = asked({"first": process(only=["add"]), "second": few}, ("add", {"a": 1, "b": 1}))
    assert results[0].content == "2.0"
    assert [each["function"]["name"] for each in definitions] == ["add", "variable"]


def test_a_server_is_given_what_the_settings_name_and_no_other_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_KEY", "from here")
    monkeypatch.setenv("OTHER_KEY", "not meant for it")
    (tmp_path / "key").write_text("from a file\n")
    config = process(env={"PLAIN": "p"}, pass_env=["OWN_KEY"], env_files={"FILE_KEY": tmp_path / "key"})
    names = ("PLAIN", "OWN_KEY", "FILE_KEY", "OTHER_KEY")
    results, _ = asked({"own": config}, *(("variable", {"name": name}) for name in names))
    assert [each.content for each in results] == ["p", "from here", "from a file", "unset"]


def test_a_key_that_is_named_but_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("OWN_KEY", raising=False)
    for config in (process(pass_env=["OWN_KEY"]), ToolServerSection(url="http://localhost:9", api_key_env="OWN_KEY")):
        with pytest.raises(ConfigError, match="OWN_KEY"):
            asked({"own": config})
    with pytest.raises(ConfigError, match="no-such-file"):
        asked({"own": process(env_files={"KEY": tmp_path / "no-such-file"})})


def test_no_server_is_no_tool():
    results, definitions = asked({}, ("add", {}))
    assert definitions == []
    assert results[0].content == "There is no tool add. The tools are: none."


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("", "takes a command or a url"),
        ('command = "x"\nurl = "http://localhost"', "takes a command or a url"),
        ('url = "ftp://localhost"', "must start with http"),
        ('url = "http://user:word@localhost"', "must not hold a password"),
        ('url = "http://localhost"\nargs = ["x"]', "has a url"),
        ('command = "x"\napi_key_env = "K"', "has a command"),
        ('command = "x"\ncomand = "y"', "Did you mean tools.own.command"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_line(tmp_path, section, why):
    file = tmp_path / "regraft.toml"
    file.write_text(f"[tools.own]\n{section}\n")
    with pytest.raises(ConfigError, match=why):
        load_settings(file)
