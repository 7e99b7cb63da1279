"""``headrace online``: keeps the newest values of a service's stream views in Feast's online store."""

from __future__ import annotations

from infra.cli.app import HERE, ProjectOption, app, folder
from infra.cli.options import ServiceArgument
from infra.cli.services import SettingsOption, log_plainly, settings_of


@app.command(epilog="Example: headrace online SERVICE --project DIR")
def online(service: ServiceArgument, settings: SettingsOption = None, project: ProjectOption = HERE) -> None:
    """Write the newest window values of each key to Feast's online store, until it is stopped.

    Clients read them with Feast's get_online_features. Several of these may run, here and on other machines: they share the
    partitions of the service's feature vectors. 'headrace up' runs one of each service where online.write is true.
    """
    from features.definitions.load import load
    from infra.config import online_config
    from infra.kafka import rights
    from infra.local import stack
    from infra.local.files import fresh
    from infra.settings import run_folder
    from jobs.online.writer import run

    where = folder(project)
    log_plainly()
    read = settings_of(where, settings)
    found = load(where).service(service)
    client = read.kafka.client(stack.bootstrap(where, read))
    ready = fresh(stack.Folders(run_folder(where, read)).ready(stack.writer_name(service)))
    config = online_config(read.online, service, client=client, isolation_level=read.kafka.isolation_level, ready_file=ready)
    rights.require(client, rights.of_online(found.plan, config.group))
    run(found, config)
