"""What secrets look like in texts and in members, each as a function of the secret itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

SECRET = "S3NTINEL0valueQ7"

_URL = "https://acct.blob.core.windows.net/c/f.sh"
TEXTS: dict[str, Callable[[str], str]] = {
    "connection string": lambda s: (
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={s}==;EndpointSuffix=x"
    ),
    "service bus": lambda s: f"Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey={s}",
    "SAS": lambda s: f"{_URL}?sv=2024-11-04&sig={s}%3D&se=2030-01-01",
    "SAS first": lambda s: f"{_URL}?SIG={s}",
    "SAS escaped": lambda s: quote(f"{_URL}?sv=1&sig={s}%3D&se=2", safe=""),
    "SAS escaped twice": lambda s: quote(quote(f"{_URL}?sv=1&sig={s}%3D&se=2", safe=""), safe=""),
    "SAS in HTML": lambda s: f'<a href="{_URL}?sv=1&amp;sig={s}">',
    "AWS signature": lambda s: f"https://b.s3.amazonaws.com/k?X-Amz-Expires=9&X-Amz-Signature={s}",
    "variable": lambda s: f"DB_PASSWORD={s}",
    "client secret": lambda s: f"export AZURE_CLIENT_SECRET={s}; run",
    "quoted variable": lambda s: f"PASSWORD='{s} with blanks'",
    "YAML": lambda s: f"password: '{s}'",
    "bare YAML": lambda s: f"a: 1\nstorageAccountKey: {s}\nb: 2",
    "JSON": lambda s: json.dumps({"storageAccountKey": s, "other": 1}),
    "JSON with a quote": lambda s: json.dumps({"password": f'ab"{s}'}),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"clientSecret": s})),
    "JSON in JSON in JSON": lambda s: json.dumps(json.dumps(json.dumps({"apiKey": s}))),
    "JSON with a mark": lambda s: "\ufeff" + json.dumps({"protectedSettings": {"a": {"b": [s]}}}),
    "JSON of a pair": lambda s: json.dumps({"name": "DB_PASSWORD", "value": s}),
    "Python": lambda s: repr({"password": s, "b": 2}),
    "XML": lambda s: f"<config><password>{s}</password></config>",
    "basic": lambda s: f"Authorization: Basic {base64.b64encode(b'user:' + s.encode()).decode()}",
    "bare basic": lambda s: f"sent Basic {base64.b64encode(b'user:' + s.encode()).decode()} twice",
    "bearer": lambda s: f"Authorization: Bearer {s}",
    "header": lambda s: f"x-api-key: {s}",
    "shared key": lambda s: f"SharedKey account:{s}",
    "token": lambda s: f"eyJhbGciOiJ{s}.eyJpc3MiOi{s}.{s}",
    "URL": lambda s: f"curl http://user:{s}@proxy:8080/",
    "URL with a colon": lambda s: f"http://user:a:{s}@proxy",
    "token in a URL": lambda s: f"git clone https://{s}{s}@github.com/o/r",
    "option": lambda s: f"login --password {s} --name x",
    "option with =": lambda s: f"tool --client-secret={s}",
    "PowerShell": lambda s: f"Connect -AccountKey {s} -Name x",
    "curl": lambda s: f"curl -u user:{s} https://x",
    "mount": lambda s: f"-o vers=3.0,username=u,password={s},dir_mode=0777",
    "blobfuse": lambda s: f"--use-https=true --account-key={s} -o allow_other",
    "PEM": lambda s: f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n-----END RSA PRIVATE KEY-----",
    "cut PEM": lambda s: f"-----BEGIN PRIVATE KEY-----\n{s}",
    "PEM in JSON": lambda s: json.dumps(f"-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----"),
    "function key": lambda s: f"https://f.azurewebsites.net/api/x?code={s}{s}==",
    "sas token": lambda s: f"sas_token = {s}",
    "hash": lambda s: f"{{'password' => '{s}', 'a' => 1}}",
    "arrow": lambda s: f"clientSecret -> {s}",
    "triple quotes": lambda s: f'password = """{s}"""',
    "XML of pairs": lambda s: f'<add key="Password" value="{s}"/>',
    "entity": lambda s: f"?sv=1&sig&#61;{s}",
    "subscription": lambda s: f"Ocp-Apim-Subscription-Key: {s}",
    "functions": lambda s: f"x-functions-key: {s}",
    "assertion": lambda s: f"client_assertion={s}&grant_type=x",
    "list": lambda s: f"tokens: [{s}, {s}]",
    "gitlab": lambda s: f"glpat-{s}{s}",
    "slack": lambda s: f"xoxb-1234567890-{s}",
    "entra": lambda s: f"the app's abc8Q~{(s * 3)[:32]} did not do",
    "github": lambda s: f"ghp_{(s * 3)[:36]}",
    "storage key": lambda s: f"key1 {(s * 9)[:86]}== of the account",
}
MEMBERS = (
    *("protectedSettings", "protected_settings", "protectedSetings", "password", "storageAccountKey"),
    *(
        "DB_PASSWORD",
        "AZURE_CLIENT_SECRET",
        "clientSecret",
        "connectionString",
        "sasUrl",
        "apiKey",
        "authToken",
    ),
)


def values(secret: str) -> dict[str, Any]:
    """What a secret is in a document: a text of each kind, or a member that is called like one."""
    return {
        **{f"text: {kind}": make(secret) for kind, make in TEXTS.items()},
        **{f"member: {name}": {name: secret} for name in MEMBERS},
        **{f"tuple below {name}": {name: ({"a": (secret,)},)} for name in MEMBERS},
        **{f"pair: {name}": [{"name": name, "value": secret}] for name in MEMBERS},
    }
