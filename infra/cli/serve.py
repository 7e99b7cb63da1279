"""``headrace serve``: predictions over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from infra.cli.app import HERE, ProjectOption, app, folder
from infra.cli.services import SettingsOption

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.settings import Settings
    from serving.http.config import KafkaConfig
    from serving.http.tokens import Tokens


@app.command(epilog="Example: headrace serve orders --project DIR --port 8080")
def serve(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; none: those of headrace.toml.", show_default=False)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on; none: http.host.", metavar="ADDRESS", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on; none: http.port.", metavar="N", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Serve predictions over HTTP, of the models in production, and where Kafka is known, publish events and stream predictions.

    A request for a prediction has the event, and the service looks up batch features in the online store, calls the on-demand
    functions, and scores: neither Kafka nor Flink is on that way. The models are those that the deployment log has in
    production, and follow it.
    """
    from features.definitions.load import load  # slow
    from infra.cli import show
    from infra.cli.page import sources_of
    from infra.cli.page_explain import Explaining
    from infra.config import http_config, with_settings
    from infra.local import stack
    from infra.local.files import fresh
    from infra.models import registry_of
    from infra.settings import load_settings, read_settings, run_folder
    from serving.http.run import check, run

    where = folder(project)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    read = read_settings(settings) if settings else load_settings(where, **({"http": given} if given else {}))
    config, tokens = http_config(read.http, where), tokens_of(where, read)
    ready = fresh(stack.Folders(run_folder(where, read)).ready("http")) if settings else None
    check(config, tokens)  # before what is slow
    with show.steps() as on_step:
        on_step("reading definitions.py")
        loaded = load(where)
        names = services or read.services or tuple(loaded.services)
        found = [with_settings(loaded.service(name), read) for name in dict.fromkeys(names)]
        kafka = _kafka(where, read, [service.plan for service in found], loaded.plans)

    def say(address: str, stop: Callable[[], None]) -> None:
        names = ", ".join(service.name for service in found)
        show.out.print(f"serving {names} on [cyan]{address}[/]; its page is {address}/; stop it with Ctrl-C")
        if ready:  # whoever started it reads there that it listens
            ready.write_bytes(msgspec.json.encode({"rest": address}))

    registry = registry_of(where, read)
    with closing(Explaining(where)) as explain:
        run(found, registry, config, tokens, say, kafka, sources_of(where, read, found, registry, kafka, explain))


def _kafka(project: Path, settings: Settings, plans: Sequence[Plan], all_plans: Sequence[Plan]) -> KafkaConfig | None:
    """Where events go and predictions come from: those of what is up here, else of ``plans``.

    None where it is not known where Kafka is, or events are not wanted.
    """
    from features.errors import StackError
    from infra.config import kafka_config
    from infra.kafka import rights
    from infra.local import stack

    if not settings.http.events:
        return None
    try:
        bootstrap = stack.bootstrap(project, settings)
    except StackError:
        return None
    used = stack.plans_in_use(project, settings) or plans
    with suppress(StackError):  # it is away: the service connects once it is back
        rights.require(settings.kafka.client(bootstrap), rights.of_http(used))
    return kafka_config(settings.kafka, bootstrap, used, all_plans)


def tokens_of(project: Path, settings: Settings) -> Tokens:
    """The bearer tokens of the environment and of the file. Raises `SettingError` for a file that is none."""
    from features.errors import SettingError
    from infra.http_settings import TOKENS
    from serving.http.tokens import Tokens, parse

    found = []
    if settings.http.tokens is not None:
        found.append(parse(settings.http.tokens.get_secret_value(), TOKENS))
        if not found[-1]:
            raise SettingError(f"{TOKENS} has a token or more; got none; make one with 'openssl rand -hex 32', or unset it")
    if settings.http.tokens_file:
        file = project / settings.http.tokens_file
        try:
            found.append(parse(file.read_text(), str(file)))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"http.tokens_file is a text of tokens; {file} gave: {error}; fix its path") from None
        if not found[-1]:
            raise SettingError(f"http.tokens_file has a token a line; {file} has none; make one with 'openssl rand -hex 32'")
    return Tokens(token for one in found for token in one)
