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
    **{
        f"command: {command}": lambda s, command=command: command.replace("SECRET", s)
        for command in (
            *("mysql -u root -pSECRET db", "mysqldump -uroot -p'SECRET x' db", 'mariadb -h h -p"SECRET"'),
            *("sshpass -p SECRET ssh -p 22 u@h", "sshpass -p'SECRET' scp", "docker login -u u -p SECRET r"),
            *(
                "az login -u u -p 'SECRET x'",
                "mongosh -u a -p SECRET",
                "7z x -pSECRET a.7z",
                "zip -P SECRET a.zip",
            ),
            *("redis-cli -a SECRET ping", "ldapsearch -D cn=a -w SECRET", "sqlcmd -S h -U sa -P SECRET"),
            *("curl -uuser:SECRET x", "curl -sSu 'user:SECRET' x", "curl --proxy-user=user:SECRET x"),
            *("run -u :SECRET x", "smbclient //h/s -U user%SECRET", "openssl rsa -passin pass:SECRET"),
            *(
                "-uroot -pSECRET",
                "SSHPASS=SECRET sshpass -e",
                "run -p'SECRET'",
                "tool --pass SECRET",
                "plink -pw SECRET h",
            ),
            *("keytool -storepass SECRET", "tool --password 'SECRET x'"),
        )
    },
    "argv": lambda s: f"Command {['tool', '--password', s]} returned 1",
    "argv of mysql": lambda s: f"Command {['mysql', '-uroot', f'-p{s}', 'db']} returned 1",
    "argv of sshpass": lambda s: json.dumps(["sshpass", "-p", s, "ssh"]),
    "argv of curl in JSON": lambda s: json.dumps(json.dumps(["run", "-u", f"user:{s}"])),
    "tuple": lambda s: repr(("password", s)),
    "tuples": lambda s: repr({"a": [("x", 1), ("client_secret", s)]}.items()),
    "tuple of bytes": lambda s: repr([(b"x-api-key", s.encode())]),
    "list of two": lambda s: json.dumps(["DB_PASSWORD", s]),
    "symbol": lambda s: f'{{:password => "{s}", :a=>1}}',
    "symbol without blanks": lambda s: f":api_key=>'{s}'",
    "bytes": lambda s: f"password={s.encode()!r}",
    "call": lambda s: f"Config(password=SecretStr('{s}'), a=1)",
    "verbatim": lambda s: f'clientSecret = @"{s}"',
    "doubled quote": lambda s: f"SET PASSWORD = 'ab''{s}'",
    "attributes": lambda s: f'<Password type="text">{s}</Password>',
    "namespace": lambda s: f"<wsse:Password Type='http://a#PasswordText'>{s}</wsse:Password>",
    "tags within": lambda s: f"<AdministratorPassword><Value>{s}</Value></AdministratorPassword>",
    "CDATA": lambda s: f"<password><![CDATA[a<{s}]]></password>",
    "escaped tags": lambda s: f"&lt;password&gt;{s}&lt;/password&gt;",
    "tags of a pair": lambda s: f"<name>db.password</name>\n<value>{s}</value>",
    "plist": lambda s: f"<key>Password</key><string>{s}</string>",
    "YAML block": lambda s: f"a: 1\npassword: |-\n  {s}\nb: 2",
    "escaped line end": lambda s: json.dumps(f"a\npwd={s}"),
    "tab": lambda s: f"user\tbob\nDB_PASSWORD\t{s}\nother\t1",
    "tabs in JSON": lambda s: json.dumps(f"a\tpassword\t\t{s}\tb"),
    "AWS": lambda s: f"key {'AKIA' + (s.upper() * 2)[:16]} of b",
    "AWS session": lambda s: f"ASIA{(s.upper() * 2)[:16]}",
    "short function key": lambda s: f"https://f.azurewebsites.net/api/x?a=1&code={s}",
    "function key behind a gateway": lambda s: f"https://my.host/api/fn?code={s}",
    "function key escaped": lambda s: quote(f"https://h/x?code={s}", safe=""),
    "function key in HTML": lambda s: f"/x?a=1&amp;code={s}",
    "google": lambda s: f"AIza{(s * 3)[:35]}",
    "stripe": lambda s: f"sk_live_{s}",
    "npm": lambda s: f"npm_{(s * 3)[:36]}",
    **{
        f"unseen U+{ord(unseen[0]):04X}": lambda s, unseen=unseen: f"pass{unseen}word{unseen}={unseen}{s}"
        for unseen in (
            *"\u200b\u200d\u2060\ufeff\xad\u202e\ufe0f\u180e\x00\x7f\U000e0020",
            "\x1b[31m",
            "\x1b]0;x\x07",
        )
    },
    "wide": lambda s: f"\uff50\uff41\uff53\uff53word\uff1d{s}",
    "wide blanks": lambda s: f"password\u3000:\xa0{s}",
}
#: Of these the text has only something like the secret itself.
ALTERED = ("entra", "github", "storage key", "AWS", "AWS session")
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
        **{f"argument: {name}": {"a": ["tool", f"--{name}", secret]} for name in MEMBERS},
        **{f"unseen in {name}": {f"{name[:3]}\u200b{name[3:]}": secret} for name in MEMBERS},
        **{f"pair: {name}": [{"name": name, "value": secret}] for name in MEMBERS},
    }
