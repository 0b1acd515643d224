"""Checks deploy/. See check.sh."""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
PORT = 5002
# Names that the program knows beside CARILLON_SECTION_KEY.
ALIASES = {
    "JWT_SECRET_KEY": "auth.jwt_secret",
    "BACKEND_SERVICE_TOKEN": "auth.backend_token",
    "DATABASE_URL": "database.url",
    "REDIS_URL": "redis.url",
    "FRONTEND_URL": "server.allowed_origins",
    "ENCRYPTION_KEYS": "database.encryption_keys",
    "PUBLIC_URL": "delivery.public_url",
    "VAPID_PRIVATE_KEY": "push.vapid_private_key",
    "VAPID_PUBLIC_KEY": "push.vapid_public_key",
    "VAPID_EMAIL": "push.vapid_email",
    "SMTP_HOST": "email.smtp_host",
    "SMTP_PORT": "email.smtp_port",
    "SMTP_USER": "email.smtp_user",
    "SMTP_PASSWORD": "email.smtp_password",
    "EMAIL_FROM": "email.from",
}
SECRETS = {
    "DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY", "BACKEND_SERVICE_TOKEN", "CARILLON_METRICS_TOKEN",
    "ENCRYPTION_KEYS",
}
# A pod starts without these.
OPTIONAL_SECRETS = {"CARILLON_AUTH_LINK_SECRETS", "VAPID_PRIVATE_KEY", "VAPID_PUBLIC_KEY"}
# Whose schemas are not Kubernetes' own.
CUSTOM_KINDS = {"ServiceMonitor", "Kustomization"}


class Skip(Exception):
    """It cannot be checked here."""


class Faults(list):
    """What is wrong."""

    def unless(self, good, text):
        if not good:
            self.append(text)


def read_yaml(path):
    return [doc for doc in yaml.safe_load_all(path.read_text()) if doc is not None]


def read_env(path):
    """`KEY=value` lines."""
    found = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = value
    return found


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, **options)
    return done.returncode, (done.stdout + done.stderr).strip()


class Program:
    """The program, asked for its settings."""

    def __init__(self, path):
        self.path = path
        code, printed = self.config({})
        if code:
            sys.exit(f"deploy: {path} config: {printed}")
        self.keys = {line.split(" = ")[0]: line.split(" = ")[1].split("#")[0].strip() for line in printed.splitlines()}

    def config(self, variables):
        with tempfile.TemporaryDirectory() as empty:
            return run(self.path, "config", env=variables, cwd=empty)

    def key(self, variable):
        """The setting that a variable sets, or None."""
        if variable in ALIASES:
            return ALIASES[variable]
        if variable == "CARILLON_ENV":
            return "server.environment"
        spelled = {"CARILLON_" + key.replace(".", "_").upper(): key for key in self.keys}
        return spelled.get(variable)

    def takes(self, variables, where, faults):
        """Whether it knows all of `variables`, and can use their values."""
        code, printed = self.config(variables)
        if code:
            faults.append(f"{where}: {printed}")
            return
        sources = dict(re.findall(r"^(\S+) = .*# variable (\S+)$", printed, re.MULTILINE))
        for variable in variables:
            key = self.key(variable)
            faults.unless(key and sources.get(key) == variable, f"{where}: {variable} sets nothing")


# ---- form --------------------------------------------------------------------------------------


def yaml_form(deploy, _):
    files = sorted(str(path) for path in deploy.rglob("*.yaml"))
    code, printed = run(BIN / "yamllint", "--strict", "--format", "parsable", "-c", HERE / "yamllint.yaml", *files)
    return Faults(printed.splitlines() if code else [])


def compose_schema(deploy, _):
    code, printed = run(
        BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", deploy / "compose.yaml"
    )
    return Faults([printed] if code else [])


def manifests(deploy):
    return {path.name: read_yaml(path) for path in sorted((deploy / "kubernetes").glob("*.yaml"))}


def validate(doc, where, faults):
    if doc.get("kind") in CUSTOM_KINDS:
        return
    # The oldest that kustomization.yaml names, and the newest that there is a schema of.
    for version in ("1.31", "1.37"):
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            path = ".".join(str(part) for part in fault.path)
            faults.append(f"{where} ({version}): {path}: {fault.message}")
        except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as fault:
            faults.append(f"{where} ({version}): {fault}")


def kubernetes_schemas(deploy, _):
    faults = Faults()
    for name, docs in manifests(deploy).items():
        for doc in docs:
            validate(doc, name, faults)
    return faults


def kustomization(deploy, _):
    """Everything is built in, or named as optional; and if there is kustomize, it builds."""
    faults = Faults()
    folder = deploy / "kubernetes"
    text = (folder / "kustomization.yaml").read_text()
    built = read_yaml(folder / "kustomization.yaml")[0]
    named = [*built["resources"], *(env for made in built["configMapGenerator"] for env in made["envs"])]
    for name in named:
        faults.unless((folder / name).is_file(), f"kustomization.yaml names {name}, which is not there")
    optional = re.findall(r"^\s*# - (\S+\.yaml)$", text, re.MULTILINE)
    there = {path.name for path in folder.iterdir()} - {"kustomization.yaml", "secret.example.yaml"}
    faults.unless(there == {*named, *optional}, f"kustomization.yaml misses {there ^ {*named, *optional}}")
    faults.unless("secret.example.yaml" not in named, "the example of a secret would be applied")
    if shutil.which("kustomize"):
        command = ["kustomize", "build"]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    else:
        return faults
    with tempfile.TemporaryDirectory() as copy:
        # With all that is optional, too.
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        everything = re.sub(r"^(\s*)# (- \S+\.yaml)$", r"\1\2", text, flags=re.MULTILINE)
        (Path(copy) / "kustomization.yaml").write_text(everything)
        code, printed = run(*command, copy)
    if code:
        faults.append(printed)
        return faults
    docs = [doc for doc in yaml.safe_load_all(printed) if doc]
    for doc in docs:
        validate(doc, f"built {doc['kind']}", faults)
    pod = next(doc for doc in docs if doc["kind"] == "Deployment")["spec"]["template"]["spec"]
    config = next(doc for doc in docs if doc["kind"] == "ConfigMap")["metadata"]["name"]
    container = pod["containers"][0]
    faults.unless(container["envFrom"][0]["configMapRef"]["name"] == config, "the pod does not get the ConfigMap")
    faults.unless(re.search(r"[:@]", container["image"]), "the image is not pinned")
    return faults


def unit_verify(deploy, program):
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze here")
    faults = Faults()
    with tempfile.TemporaryDirectory() as folder:
        # The program is not installed here.
        unit = Path(folder) / "carillon.service"
        text = (deploy / "carillon.service").read_text()
        faults.unless("/usr/local/bin/carillon serve" in text, "carillon.service starts something else")
        unit.write_text(text.replace("/usr/local/bin/carillon", program.path))
        code, printed = run("systemd-analyze", "--no-pager", "verify", unit)
        # It warns of unknown words, and ends with 0.
        faults.extend(line for line in printed.splitlines() if str(unit) in line or "carillon.service" in line)
        faults.unless(code == 0, printed)
        code, printed = run("systemd-analyze", "--no-pager", "security", "--offline=true", "--threshold=20", unit)
        if "unrecognized option" not in printed:
            faults.unless(code == 0, f"carillon.service is open: {printed.splitlines()[-1] if printed else code}")
    return faults


def caddyfile_validate(deploy, _):
    if not shutil.which("caddy"):
        raise Skip("no caddy here")
    faults = Faults()
    for site in ("notify.example.com", "http://localhost"):
        command = ["caddy", "adapt", "--validate", "--adapter", "caddyfile", "--config", deploy / "Caddyfile"]
        with tempfile.TemporaryDirectory() as home:
            code, printed = run(*command, env={**os.environ, "SITE_ADDRESS": site, "HOME": home})
        faults.unless(code == 0, printed)
    return faults


# ---- meaning -----------------------------------------------------------------------------------


def milliseconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)?", str(text)).groups()
    return int(number) * {"ms": 1, "s": 1_000, None: 1_000, "m": 60_000}[unit]


def patience(where, variables, grace, program, faults):
    """A stop: the delay counts, and nobody kills it before it is done."""

    def setting(key):
        return int(variables.get("CARILLON_SERVER_" + key.upper()) or program.keys["server." + key])

    delay, timeout = setting("shutdown_delay_ms"), setting("shutdown_timeout_ms")
    faults.unless(2 * delay <= timeout, f"{where}: of the delay of {delay} ms only {timeout // 2} count")
    faults.unless(timeout + 2_000 <= grace, f"{where}: killed after {grace} ms, but may take {timeout} ms")


def filled(value):
    """`${NAME:?…}` replaced by something that will do."""
    samples = {
        "FRONTEND_URL": "https://app.example.com", "PUBLIC_URL": "https://notify.example.com", "SMTP_PORT": "465",
        "EMAIL_FROM": "hello@example.com", "VAPID_EMAIL": "hello@example.com",
    }
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: samples.get(found[1], "0" * 32), str(value))


def compose_meaning(deploy, program):
    faults = Faults()
    compose = read_yaml(deploy / "compose.yaml")[0]
    services = compose["services"]
    nodes = {name: service for name, service in services.items() if name.startswith("carillon-")}
    faults.unless(len(nodes) == 2, "compose.yaml: there are not two nodes")
    for name, service in services.items():
        def must(good, text, name=name):
            faults.unless(good, f"compose.yaml: {name} {text}")

        must(service.get("read_only") is True, "can write to its root")
        must(service.get("cap_drop") == ["ALL"], "keeps capabilities")
        must(set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE"}, "has too many capabilities")
        must("no-new-privileges:true" in service.get("security_opt", []), "may gain privileges")
        must(service.get("restart") == "unless-stopped", "does not come back")
        must("test" in service.get("healthcheck", {}), "has no health check")
        must(name == "balancer" or "ports" not in service, "has ports that are open to the world")
        must(re.search(r":(\$\{TAG|\d)", service["image"]), "has no version")
        must("logging" in service, "fills the disk with its log")
        for other, on in service.get("depends_on", {}).items():
            must(on == {"condition": "service_healthy"}, f"does not wait for {other}")
        for key, value in service.get("environment", {}).items():
            if re.search("SECRET|TOKEN|PASSWORD|_URL$", key):
                # Without a mail server there is no password.
                is_left_out = key == "SMTP_PASSWORD" and value == "${SMTP_PASSWORD:-}"
                must(is_left_out or ":?" in str(value), f"has {key} in the file, or does not demand it")
    for name, node in nodes.items():
        variables = {key: filled(value) for key, value in node["environment"].items()}
        program.takes(variables, f"compose.yaml, {name}", faults)
        patience(f"compose.yaml, {name}", variables, milliseconds(node["stop_grace_period"]), program, faults)
        faults.unless(SECRETS <= set(variables), f"compose.yaml: {name} lacks {SECRETS - set(variables)}")
        faults.unless(set(node["depends_on"]) == {"postgres", "redis"}, f"compose.yaml: {name} waits for too few")
        proxy = ipaddress.ip_address(variables["CARILLON_SERVER_TRUSTED_PROXIES"])
        front = compose["networks"]["front"]["ipam"]["config"][0]
        balancer = ipaddress.ip_address(services["balancer"]["networks"]["front"]["ipv4_address"])
        faults.unless(proxy == balancer, f"compose.yaml: {name} trusts {proxy}, and the balancer is {balancer}")
        faults.unless(balancer in ipaddress.ip_network(front["subnet"]), "compose.yaml: the balancer is outside")
        faults.unless(
            balancer not in ipaddress.ip_network(front["ip_range"]),
            "compose.yaml: another container may get the balancer's address",
        )
    for name in ("postgres", "redis"):
        faults.unless(services[name]["networks"] == ["back"], f"compose.yaml: {name} is on other networks, too")
    faults.unless(compose["networks"]["back"].get("internal") is True, "compose.yaml: the databases are not inside")

    example = read_env(deploy / ".env.example")
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", (deploy / "compose.yaml").read_text()))
    faults.unless(asked == set(example), f".env.example and compose.yaml differ: {asked ^ set(example)}")
    faults.unless(not any(example.values()), ".env.example has values")

    caddy = (deploy / "Caddyfile").read_text()
    to = re.search(r"^\s*reverse_proxy (.+) \{$", caddy, re.MULTILINE)
    faults.unless(
        to and sorted(to[1].split()) == [f"{name}:{PORT}" for name in sorted(nodes)],
        "Caddyfile: it does not send to just the nodes",
    )
    faults.unless("lb_policy ip_hash" in caddy, "Caddyfile: polling clients are not kept at one node")
    faults.unless("health_uri /health/ready" in caddy, "Caddyfile: readiness is not looked at")
    interval = re.search(r"health_interval (\S+)", caddy)
    slowest = min(int(filled(node["environment"]["CARILLON_SERVER_SHUTDOWN_DELAY_MS"])) for node in nodes.values())
    faults.unless(
        interval and 2 * milliseconds(interval[1]) <= slowest, "Caddyfile: it notices a stop too late"
    )
    return faults


def doors():
    """What clients and providers ask for; /internal is for back ends inside."""
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    asked = {path.split("{")[0].rstrip("/") for path in described if not path.startswith("/internal")}
    return asked | {"/socket.io", "/ws/notify", "/unsubscribe", "/callbacks/twilio", "/dashboard"}


def kubernetes_meaning(deploy, program):
    faults = Faults()
    by_kind = {}
    for name, docs in manifests(deploy).items():
        for doc in docs:
            faults.unless(doc["kind"] not in by_kind, f"{name}: a second {doc['kind']}")
            by_kind[doc["kind"]] = doc
            faults.unless(
                doc["kind"] == "Kustomization" or doc["metadata"]["name"] == "carillon", f"{name}: another name"
            )
    must = faults.unless
    deployment = by_kind["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    must(deployment["replicas"] >= 2, "deployment.yaml: fewer than two pods")
    must(
        deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, "deployment.yaml: an upgrade takes pods away"
    )
    # Or Kubernetes' own CARILLON_PORT keeps it from starting.
    must(pod.get("enableServiceLinks") is False, "deployment.yaml: a service's variables get into the pod")
    must(pod.get("automountServiceAccountToken") is False, "deployment.yaml: the pod has a token of the cluster")
    context = {**pod["securityContext"], **container["securityContext"]}
    for key, wanted in {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items():
        must(context.get(key) == wanted, f"deployment.yaml: {key} is {context.get(key)}")
    must("limits" in container["resources"] and "requests" in container["resources"], "deployment.yaml: no resources")
    for probe, path in {"startup": "live", "readiness": "ready", "liveness": "live"}.items():
        found = container.get(f"{probe}Probe", {}).get("httpGet", {})
        must(found == {"path": f"/health/{path}", "port": "http"}, f"deployment.yaml: the {probe} probe asks {found}")
    must(container["ports"] == [{"name": "http", "containerPort": PORT}], "deployment.yaml: another port")

    secret = by_kind["Secret"]["stringData"]
    must(not any(secret.values()) and "data" not in by_kind["Secret"], "secret.example.yaml has values")
    asked = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef", {})
        optional = {"optional": True} if variable["name"] in OPTIONAL_SECRETS else {}
        must(
            reference == {"name": "carillon", "key": variable["name"], **optional},
            f"deployment.yaml: {variable['name']} does not come from the secret",
        )
        asked[variable["name"]] = "0" * 32
    every = SECRETS | OPTIONAL_SECRETS
    must(set(asked) == every, f"deployment.yaml: wrong secrets: {set(asked) ^ every}")
    must(set(secret) == every, f"secret.example.yaml: wrong keys: {set(secret) ^ every}")
    settings = read_env(deploy / "kubernetes" / "carillon.env")
    must(not SECRETS & set(settings), "carillon.env holds a secret")
    asked |= {"DATABASE_URL": "postgres://carillon@database/carillon", "REDIS_URL": "redis://redis/0"}
    program.takes({**settings, **asked}, "kubernetes", faults)
    grace = 1_000 * pod["terminationGracePeriodSeconds"]
    patience("kubernetes", settings, grace, program, faults)
    must("preStop" not in json.dumps(pod), "deployment.yaml: preStop, although the server waits by itself")

    service = by_kind["Service"]["spec"]
    must(service["ports"] == [{"name": "http", "port": PORT, "targetPort": "http"}], "service.yaml: other ports")
    must(service["sessionAffinity"] == "ClientIP", "service.yaml: polling clients are not kept at one pod")
    selectors = {
        "deployment.yaml": deployment["selector"]["matchLabels"],
        "service.yaml": service["selector"],
        "poddisruptionbudget.yaml": by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "networkpolicy.yaml": by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        **{
            f"deployment.yaml, {spread['topologyKey']}": spread["labelSelector"]["matchLabels"]
            for spread in pod["topologySpreadConstraints"]
        },
    }
    for where, selector in selectors.items():
        must(selector and selector.items() <= labels.items(), f"{where}: {selector} selects no pod")
    monitor = by_kind["ServiceMonitor"]["spec"]
    must(
        monitor["selector"]["matchLabels"].items() <= by_kind["Service"]["metadata"]["labels"].items(),
        "servicemonitor.yaml selects no service",
    )
    endpoint = monitor["endpoints"][0]
    must((endpoint["port"], endpoint["path"]) == ("http", "/metrics"), "servicemonitor.yaml: another address")
    must(
        endpoint["authorization"]
        == {"type": "Bearer", "credentials": {"name": "carillon", "key": "CARILLON_METRICS_TOKEN"}},
        "servicemonitor.yaml: no token",
    )
    for rule in by_kind["Ingress"]["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            must(
                path["backend"]["service"] == {"name": "carillon", "port": {"name": "http"}},
                "ingress.yaml: it leads elsewhere",
            )
            inside = ("/health", "/stats", "/metrics", "/internal", "/ws/status", "/docs")
            must(
                not any(kept == path["path"] or kept.startswith(path["path"].rstrip("/") + "/") for kept in inside),
                f"ingress.yaml: {path['path']} is to stay inside",
            )
    shown = [path["path"] for rule in by_kind["Ingress"]["spec"]["rules"] for path in rule["http"]["paths"]]
    for door in doors():
        must(any(door == path or door.startswith(path + "/") for path in shown), f"ingress.yaml: {door} is shut")
    explained = (ROOT / "docs" / "PROTOCOLS.md").read_text()
    for metric in by_kind["HorizontalPodAutoscaler"]["spec"]["metrics"]:
        if metric["type"] == "Pods":
            name = metric["pods"]["metric"]["name"]
            must(f"| `{name}` |" in explained, f"horizontalpodautoscaler.yaml: there is no metric {name}")
    target = by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    must((target["kind"], target["name"]) == ("Deployment", "carillon"), "horizontalpodautoscaler.yaml: another target")
    return faults


def unit_meaning(deploy, program):
    faults = Faults()
    lines = [line for line in (deploy / "carillon.service").read_text().splitlines() if "=" in line and line[0] != "#"]
    pairs = [line.split("=", 1) for line in lines]
    variables = dict(value.split("=", 1) for key, value in pairs if key == "Environment")
    program.takes(variables, "carillon.service", faults)
    one = dict(pairs)
    patience("carillon.service", variables, milliseconds(one["TimeoutStopSec"]), program, faults)
    faults.unless(not SECRETS & set(variables) - {"DATABASE_URL"}, "carillon.service holds a secret")
    # The server does not tell systemd that it is ready.
    faults.unless(one["Type"] == "exec", "carillon.service: systemd would wait for a word that never comes")
    faults.unless(one["KillSignal"] == "SIGTERM", "carillon.service: another signal")
    inside = variables["DATABASE_URL"].startswith(f"sqlite:////var/lib/{one['StateDirectory']}/")
    faults.unless(inside, "carillon.service: the database is where the service may not write")
    return faults


def image(deploy, program, text=None):
    """The Dockerfile: of two stages, not root, with what the program knows, and all that it is built from."""
    faults = Faults()
    text = text or (ROOT / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line.split(None, 1) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    stages = [place for place, (word, _) in enumerate(lines) if word == "FROM"]
    build, last = lines[: stages[-1]], lines[stages[-1] :]
    faults.unless(len(stages) == 2 and "-slim" in last[0][1], "Dockerfile: what is shipped is not slim")
    one = dict(last)
    uid, _, gid = one.get("USER", "").partition(":")
    faults.unless(uid.isdigit() and gid.isdigit() and int(uid) and int(gid), "Dockerfile: it may run as root")
    pod = manifests(DEPLOY)["deployment.yaml"][0]["spec"]["template"]["spec"]["securityContext"]
    faults.unless(
        (uid, gid) == (str(pod["runAsUser"]), str(pod["runAsGroup"])), "Dockerfile: deployment.yaml has another user"
    )
    made = re.search(r"groupadd .*--gid (\d+).*useradd .*--uid (\d+) --gid (\d+)", joined)
    faults.unless(made and made.groups() == (gid, uid, gid), "Dockerfile: another user is made")
    faults.unless(one.get("EXPOSE") == str(PORT) == program.keys["server.port"], "Dockerfile: another port")
    check = re.search(r'CMD \["carillon", "(\w+)"\]', one.get("HEALTHCHECK", ""))
    code, _ = run(program.path, check[1], "--help") if check else (1, "")
    faults.unless(code == 0, "Dockerfile: its health check asks nothing")
    faults.unless(one.get("STOPSIGNAL") == "SIGTERM", "Dockerfile: another signal")
    variables = dict(re.findall(r"(\w+)=(\S+)", " ".join(value for word, value in last if word == "ENV")))
    faults.unless(not SECRETS & set(variables) - {"DATABASE_URL"}, "Dockerfile: it holds a secret")
    secrets = {name: "0" * 32 for name in ("JWT_SECRET_KEY", "BACKEND_SERVICE_TOKEN", "CARILLON_METRICS_TOKEN")}
    program.takes(variables | secrets, "Dockerfile", faults)
    faults.unless(variables.get("CARILLON_ENV") == "production", "Dockerfile: it is not for production")

    compiled = [place for place, (word, value) in enumerate(build) if word == "RUN" and "cargo build" in value]
    sources = [place for place, (word, value) in enumerate(build) if word == "COPY" and value.startswith("src ")]
    faults.unless(
        len(compiled) == 2 and sources and compiled[0] < sources[0] < compiled[1],
        "Dockerfile: dependencies are built again with each change",
    )
    faults.unless(all("--locked" in build[place][1] for place in compiled), "Dockerfile: other dependencies")
    copied = {source for word, value in build if word == "COPY" for source in value.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    faults.unless(copied <= allowed, f"Dockerfile: .dockerignore keeps {copied - allowed} away")
    for source in (ROOT / "src").rglob("*.rs"):
        code = source.read_text().split("#[cfg(test)]")[0]
        for included in re.findall(r'include_(?:str|bytes)!\((?:concat!\()?\s*"([^"]+)"', code):
            path = os.path.relpath((source.parent / included).resolve(), ROOT).split("/")[0]
            faults.unless(path in copied, f"Dockerfile: {source.name} includes {included}, which is not copied")
    return faults


def permitted(expression, allowed):
    """Whether an SPDX expression can be met by `allowed`."""
    words = re.findall(r"\(|\)|[^\s()/]+(?: WITH [^\s()/]+)?|/", expression)

    def either():
        good = both()
        while words and words[0] in ("OR", "/"):
            words.pop(0)
            good = both() or good
        return good

    def both():
        good = single()
        while words and words[0] == "AND":
            words.pop(0)
            good = single() and good
        return good

    def single():
        if words[0] != "(":
            return words.pop(0) in allowed
        words.pop(0)
        good = either()
        words.pop(0)
        return good

    return either()


def dependencies(deploy, program, text=None):
    """What deny.toml says of licences, sources and bans, for what is linked; `cargo deny` itself asks the network."""
    faults = Faults()
    rules = tomllib.loads(text or (ROOT / "deny.toml").read_text())
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--offline", "--locked", "--format-version", "1"]
    done = subprocess.run(
        [*command, "--filter-platform", "x86_64-unknown-linux-gnu"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd=ROOT,
    )
    if done.returncode:
        raise Skip("cargo has not all that it needs for this here")
    packages = json.loads(done.stdout)["packages"]
    faults.unless(len(packages) > 100, "there are no dependencies")
    banned = {ban["crate"] for ban in rules["bans"]["deny"]}
    used = set()
    for package in packages:
        name, licence, source = package["name"], package["license"], package["source"]
        if source is None:
            continue
        registry = source.removeprefix("registry+")
        faults.unless(registry in rules["sources"]["allow-registry"], f"{name} comes from {source}")
        faults.unless(name not in banned, f"{name} is banned")
        faults.unless(licence and permitted(licence, set(rules["licenses"]["allow"])), f"{name} has {licence}")
        used |= set(re.findall(r"[A-Z0-9][\w.-]+(?: WITH [\w.-]+)?", licence or ""))
    unused = set(rules["licenses"]["allow"]) - used
    faults.unless(not unused, f"deny.toml allows what nothing has: {unused}")
    return faults


def names(deploy, program):
    """Every variable named anywhere, comments and documents too, is known."""
    faults = Faults()
    for path in sorted(path for path in deploy.rglob("*") if path.is_file()):
        text = path.read_text()
        where = path.relative_to(deploy)
        # The kind of variable that Kubernetes would make of a service, told in a comment.
        for variable in set(re.findall(r"\bCARILLON_[A-Z_]+", text)) - {"CARILLON_PORT", "CARILLON_SECTION_KEY"}:
            faults.unless(program.key(variable), f"{where}: {variable} is no setting")
        sections = "|".join({key.split(".")[0] for key in program.keys})
        for key in set(re.findall(rf"\b((?:{sections})\.[a-z]+_[a-z_]+)", text)):
            faults.unless(key in program.keys, f"{where}: {key} is no setting")
        for secret in re.findall(r"\b[0-9A-Za-z+/_-]{40,}\b", text):
            faults.unless("/" in secret or not re.search(r"\d", secret), f"{where}: {secret} looks like a secret")
        for number, line in enumerate(text.splitlines(), 1):
            # A table's row is one line.
            faults.unless(len(line) <= 120 or line.startswith("|"), f"{where}:{number}: longer than 120 characters")
            faults.unless(line == line.rstrip(), f"{where}:{number}: ends with a space")
    readme = (deploy / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        # The copies below have no docs/ beside them.
        there = (DEPLOY if link.startswith("../") else deploy) / link
        faults.unless(there.exists(), f"README.md: {link} is not there")
    for name in sorted(path.name for path in deploy.iterdir() if path.name not in ("README.md", ".env")):
        faults.unless(f"]({name})" in readme, f"README.md does not name {name}")
    return faults


CHECKS = [
    yaml_form,
    compose_schema,
    compose_meaning,
    caddyfile_validate,
    kubernetes_schemas,
    kubernetes_meaning,
    kustomization,
    unit_verify,
    unit_meaning,
    image,
    dependencies,
    names,
]

# ---- the checks notice -------------------------------------------------------------------------

# Who must notice; the file; what stands there; what is put in its place.
BREAKS = [
    (yaml_form, "compose.yaml", "name: carillon", "name: carillon\nname: twice"),
    (yaml_form, "kubernetes/service.yaml", "  ports:", "\tports:"),
    (compose_schema, "compose.yaml", "    stop_grace_period: 60s", "    stop_grace_periods: 60s"),
    (compose_schema, "compose.yaml", "condition: service_healthy", "condition: service_wealthy"),
    (compose_meaning, "compose.yaml", "CARILLON_LOG_FORMAT", "CARILLON_LOG_FROMAT"),
    (compose_meaning, "compose.yaml", "    DATABASE_URL: postgres", "    DATABSE_URL: postgres"),
    (compose_meaning, "compose.yaml", "    REDIS_URL: redis", "    REDIS_URI: redis"),
    (compose_meaning, "compose.yaml", 'DELAY_MS: "5000"', 'DELAY_MS: "9000"'),
    (compose_meaning, "compose.yaml", "  stop_grace_period: 20s", "  stop_grace_period: 10s"),
    (compose_meaning, "compose.yaml", "PROXIES: 10.213.57.2", "PROXIES: 10.213.57.3"),
    (compose_meaning, "compose.yaml", "${JWT_SECRET_KEY:?see .env.example}", "0123456789abcdef0123456789abcdef"),
    (compose_meaning, "compose.yaml", "    user: postgres", '    user: postgres\n    ports: ["5432:5432"]'),
    (compose_meaning, "compose.yaml", "  cap_drop: [ALL]\n", ""),
    (compose_meaning, "compose.yaml", "image: redis:8-alpine", "image: redis"),
    (compose_meaning, ".env.example", "REDIS_PASSWORD=", "REDIS_PASSWORD=hunter2"),
    (compose_meaning, ".env.example", "REDIS_PASSWORD=\n", ""),
    (compose_meaning, "Caddyfile", "carillon-2:5002", "carillon-3:5002"),
    (compose_meaning, "Caddyfile", "lb_policy ip_hash", "lb_policy round_robin"),
    (caddyfile_validate, "Caddyfile", "health_uri", "health_url"),
    (kubernetes_schemas, "kubernetes/deployment.yaml", "minReadySeconds: 10", "minReadySeconds: ten"),
    (kubernetes_schemas, "kubernetes/deployment.yaml", "  minReadySeconds:", "  minReadySecond:"),
    (kubernetes_schemas, "kubernetes/ingress.yaml", "            pathType: Prefix\n", ""),
    (kubernetes_schemas, "kubernetes/networkpolicy.yaml", "networking.k8s.io/v1", "networking.k8s.io/v9"),
    (kubernetes_meaning, "kubernetes/deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
    (kubernetes_meaning, "kubernetes/deployment.yaml", "PeriodSeconds: 30", "PeriodSeconds: 20"),
    (kubernetes_meaning, "kubernetes/deployment.yaml", "path: /health/ready", "path: /ready"),
    (kubernetes_meaning, "kubernetes/deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    (kubernetes_meaning, "kubernetes/service.yaml", "targetPort: http", "targetPort: web"),
    (kubernetes_meaning, "kubernetes/poddisruptionbudget.yaml", "  app.kubernetes.io/name: carillon\n", "  app: c\n"),
    (kubernetes_meaning, "kubernetes/carillon.env", "SERVER_THREADS=2", "SERVER_THREADS=two"),
    (kubernetes_meaning, "kubernetes/secret.example.yaml", 'REDIS_URL: ""', 'REDIS_URL: "redis://redis"'),
    (kustomization, "kubernetes/kustomization.yaml", "- service.yaml", "- services.yaml"),
    (unit_verify, "carillon.service", "MemoryDenyWriteExecute", "MemoryDenyWriteExecutes"),
    (unit_verify, "carillon.service", "Type=exec", "Type=exe"),
    (unit_meaning, "carillon.service", "CARILLON_SERVER_HOST", "CARILLON_SERVER_HOTS"),
    (unit_meaning, "carillon.service", "TimeoutStopSec=20", "TimeoutStopSec=5"),
    (unit_meaning, "carillon.service", "StateDirectory=carillon", "StateDirectory=other"),
    (kubernetes_meaning, "kubernetes/ingress.yaml", "- path: /push", "- path: /stats"),
    (kubernetes_meaning, "kubernetes/ingress.yaml", "- path: /ws/notify", "- path: /ws"),
    (kubernetes_meaning, "kubernetes/horizontalpodautoscaler.yaml", "name: websocket_connections_active", "name: x"),
    (names, "README.md", "server.shutdown_delay_ms", "server.shutdown_wait_ms"),
    (names, "README.md", "(Caddyfile)", "(nginx.conf)"),
    (names, "kubernetes/carillon.env", "# CARILLON_SERVER_TRUSTED_PROXIES", "# CARILLON_SERVER_PROXIES"),
]


# The same for what stands outside deploy/.
BREAKS_BESIDE = [
    (image, "Dockerfile", "USER 10001:10001", "USER carillon"),
    (image, "Dockerfile", "--uid 10001", "--uid 10002"),
    (image, "Dockerfile", "EXPOSE 5002", "EXPOSE 8080"),
    (image, "Dockerfile", '["carillon", "health"]', '["carillon", "healthy"]'),
    (image, "Dockerfile", "DATABASE_URL=", "DATABSE_URL="),
    (image, "Dockerfile", "COPY templates templates", ""),
    (image, "Dockerfile", "COPY src src\n", ""),
    (dependencies, "deny.toml", '    "BSL-1.0",\n', ""),
    (dependencies, "deny.toml", '    "ISC",', '    "ISC",\n    "AGPL-3.0",'),
    (dependencies, "deny.toml", 'crate = "openssl-sys"', 'crate = "ring"'),
    (dependencies, "deny.toml", "github.com/rust-lang", "github.com/others"),
]


def unnoticed(program, skipped):
    faults = Faults()
    for check, name, old, new in BREAKS_BESIDE:
        text = (ROOT / name).read_text()
        if old not in text:
            faults.append(f"{name}: nothing to break, there is no `{old}`")
        elif check not in skipped and not check(DEPLOY, program, text.replace(old, new)):
            faults.append(f"{check.__name__} does not notice `{new.strip()}` in {name}")
    for check, name, old, new in BREAKS:
        if check in skipped:
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "deploy"
            shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns(".env"))
            text = (copy / name).read_text()
            if old not in text:
                faults.append(f"{name}: nothing to break, there is no `{old}`")
                continue
            (copy / name).write_text(text.replace(old, new))
            try:
                noticed = check(copy, program)
            except (KeyError, yaml.YAMLError) as fault:
                noticed = [str(fault)]
            faults.unless(noticed, f"{check.__name__} does not notice `{new.strip()}` in {name}")
    return faults


def main():
    program = Program(sys.argv[1])
    failed, skipped = 0, set()
    for check in CHECKS:
        label = check.__name__.replace("_", " ")
        try:
            faults = check(DEPLOY, program)
        except Skip as why:
            skipped.add(check)
            print(f"skip {label}: {why}")
            continue
        print(f"{'FAIL' if faults else 'ok  '} {label}")
        for fault in faults:
            print(f"     {fault}")
        failed += bool(faults)
    tried = [each for each in [*BREAKS, *BREAKS_BESIDE] if each[0] not in skipped]
    faults = unnoticed(program, skipped)
    print(f"{'FAIL' if faults else 'ok  '} {len(tried)} broken copies are noticed")
    for fault in faults:
        print(f"     {fault}")
    failed += bool(faults)
    print(f"deploy: {len(CHECKS) + 1 - failed - len(skipped)} passed, {failed} failed, {len(skipped)} skipped")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
