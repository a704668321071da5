"""Checks the files of conf/nms against one another and against the MIB, where
no program of Debian takes them: nms_files.py TOP TEMP

Prints a line for each fault.  Writes TEMP/dashboard-rules.yml, the dashboard's
expressions as recording rules, so that promtool can parse them.
"""
import json
import os
import re
import subprocess
import sys

import yaml

TOP, TEMP = sys.argv[1:3]
NMS = os.path.join(TOP, "conf/nms")
BASE = "1.3.6.1.4.1.8072.9999.9999.2553.1"


def fault(*words):
	print(*words)


def load(name):
	with open(os.path.join(NMS, name), encoding="utf-8") as f:
		return yaml.safe_load(f)


# ---- the MIB: OID -> name and syntax, read from its text ----

def mib_objects():
	with open(os.path.join(TOP, "mibs/TLSWARD-MIB.txt"), encoding="ascii") as f:
		text = re.sub(r'"[^"]*"|--.*', "", f.read())
	arcs = {"tlswardObjects": BASE}
	syntax = {}
	pairs = re.findall(r"^(\w+)\s+OBJECT(?: IDENTIFIER|-TYPE|-IDENTITY)(.*?)::=\s*\{\s*(\w+)\s+(\d+)\s*\}",
	    text, re.M | re.S)
	for name, body, _, _ in pairs:
		found = re.search(r"SYNTAX\s+(\w+(?: STRING)?)", body)
		if found:
			syntax[name] = found.group(1)
	for _ in range(8):	# a parent may stand behind its child
		for name, _, parent, number in pairs:
			if parent in arcs:
				arcs[name] = arcs[parent] + "." + number
	return {oid: (name, syntax.get(name, "")) for name, oid in arcs.items()}


MIB = mib_objects()
COUNTERS = {"Counter32", "Counter64"}
if len(MIB) < 150:
	fault("the MIB was not read:", len(MIB), "objects")

# ---- the exporter ----

old = load("snmp-exporter-0.21.yml")["tlsward"]
new_file = load("snmp-exporter.yml")
new = new_file["modules"]["tlsward"]
if set(new_file) != {"auths", "modules"}:
	fault("snmp-exporter.yml has", sorted(new_file))
for key in ("walk", "get", "metrics", "max_repetitions", "timeout", "retries"):
	if old[key] != new[key]:
		fault("the two exporter files differ in", key)
if {**old["auth"], "version": old["version"]} != new_file["auths"]["tlsward"]:
	fault("the two exporter files differ in their credentials")
for key in ("auth", "version"):
	if key in new:
		fault("a module since 0.23 has no", key)

metrics = {}
for m in old["metrics"]:
	name, syntax = MIB.get(m["oid"], ("nothing", ""))
	if name != m["name"]:
		fault(m["oid"], "is", name, "in the MIB, not", m["name"])
	if (m["type"] == "counter") != (syntax in COUNTERS):
		fault(m["name"], "is of type", m["type"], "and in the MIB a", syntax)
	if (m["type"] == "DateAndTime") != (syntax == "DateAndTime"):
		fault(m["name"], "is of type", m["type"], "and in the MIB a", syntax)
	source = old["walk"] if m.get("indexes") else old["get"]
	if m["oid"] + ("" if m.get("indexes") else ".0") not in source:
		fault(m["name"], "is never asked for")
	metrics[m["name"]] = {i["labelname"] for i in m.get("indexes", [])}
	for lookup in m.get("lookups", []):
		metrics[m["name"]].add(lookup["labelname"])
		if lookup["oid"] not in old["walk"]:
			fault(m["name"], "looks up what is never walked")
for table in ("Domain", "Peer"):
	for i in (i for m in old["metrics"] for i in m.get("indexes", []) if m["name"].startswith("tlsward" + table)):
		if not i.get("implied"):
			fault(table, "has an IMPLIED index")


def check_expression(where, expr):
	"""Every metric is one of the module's, and every label one of the metric's."""
	names = re.findall(r"\btlsward\w+", expr)
	for name in names:
		if name not in metrics:
			fault(where, "uses", name, "which the module has not")
	for name, selector in re.findall(r"\b(tlsward\w+)\{([^}]*)\}", expr):
		for label in re.findall(r"(\w+)\s*[=!]~?", selector):
			if label not in metrics.get(name, set()) | {"instance", "job"}:
				fault(where, "selects", name, "by", label, "which it has not")
	return names


# ---- the rules ----

for group in load("rules.yml")["groups"]:
	for rule in group["rules"]:
		check_expression(rule["alert"], rule["expr"])
		if rule["labels"].get("severity") not in ("critical", "warning", "info"):
			fault(rule["alert"], "has no severity")
		labels = set.union({"instance", "job"}, *(metrics.get(n, set()) for n in
		    re.findall(r"\btlsward\w+", rule["expr"])))
		for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
			if label not in labels:
				fault(rule["alert"], "speaks of", label, "which its series have not")

# ---- the dashboard ----

with open(os.path.join(NMS, "grafana-dashboard.json"), encoding="utf-8") as f:
	board = json.load(f)
for key, kind in (("title", str), ("uid", str), ("schemaVersion", int), ("panels", list), ("templating", dict),
    ("time", dict), ("annotations", dict)):
	if not isinstance(board.get(key), kind):
		fault("the dashboard has no", key)
if board.get("id") is not None:
	fault("a dashboard that is imported has no id")
variables = {v["name"] for v in board["templating"]["list"]}
ids, cells, expressions = set(), {}, []
for panel in board["panels"]:
	title = panel["title"]
	if panel["id"] in ids:
		fault("panel", title, "has the id of another")
	ids.add(panel["id"])
	if panel["type"] not in ("stat", "timeseries", "bargauge", "table"):
		fault("panel", title, "is a", panel["type"])
	g = panel["gridPos"]
	if g["x"] + g["w"] > 24:
		fault("panel", title, "is outside the grid")
	for cell in ((x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])):
		if cell in cells:
			fault("panels", title, "and", cells[cell], "overlap")
			break
		cells[cell] = title
	if not panel["targets"] or not panel["description"]:
		fault("panel", title, "shows or says nothing")
	for target in panel["targets"]:
		if not check_expression("panel " + title, target["expr"]):
			fault("panel", title, "asks for nothing of tlsward")
		expressions.append(target["expr"])
		for used in re.findall(r"\$(?!__)\{?(\w+)", json.dumps(target)):
			if used not in variables:
				fault("panel", title, "uses the variable", used)
		for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]):
			if name != "instance" and not any(name in metrics.get(n, ()) for n in
			    re.findall(r"tlsward\w+", target["expr"])):
				fault("panel", title, "has a legend with", name)
if len(expressions) < 15:
	fault("the dashboard has only", len(expressions), "expressions")
with open(os.path.join(TEMP, "dashboard-rules.yml"), "w", encoding="utf-8") as f:
	yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [{"record": "dashboard:panel_%d" % i,
	    "expr": e.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$domain", ".*")}
	    for i, e in enumerate(expressions)]}]}, f)

# ---- Zabbix ----

export = load("zabbix-template.yaml")["zabbix_export"]
if export["version"] != "6.0":
	fault("the template is of version", export["version"])
template = export["templates"][0]
groups = {g["name"] for g in export["groups"]}
if not {g["name"] for g in template["groups"]} <= groups:
	fault("the template is in a group that the export has not")
valuemaps = {v["name"] for v in template["valuemaps"]}
macros = {m["macro"] for m in template["macros"]}
uuids, keys = [], []


def uuids_of(node):
	if isinstance(node, dict):
		uuids.extend(v for k, v in node.items() if k == "uuid")
		node = list(node.values())
	for child in node if isinstance(node, list) else ():
		uuids_of(child)


uuids_of(export)
for u in uuids:
	if not re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", u):
		fault("no UUID of version 4:", u)
if len(uuids) != len(set(uuids)):
	fault("two parts of the template have one UUID")


def check_item(item, suffix):
	keys.append(item["key"])
	oid = item["snmp_oid"]
	if suffix and not oid.endswith(".{#SNMPINDEX}"):
		fault(item["key"], "does not use the index")
	name, syntax = MIB.get(re.sub(r"\.(\{#SNMPINDEX\}|0)$", "", oid), ("", ""))
	if not name and oid.rsplit(".", 1)[0] in MIB:
		name, syntax = MIB[oid.rsplit(".", 1)[0]]
	if not name:
		fault(item["key"], "asks for", oid, "which is not in the MIB")
	steps = [s["type"] for s in item.get("preprocessing", [])]
	if syntax == "Counter64" and "CHANGE_PER_SECOND" not in steps:
		fault(item["key"], "shows a counter as it is")
	if (syntax in ("TlswardText", "DisplayString")) != (item.get("value_type") == "TEXT"):
		fault(item["key"], "is a", syntax, "and kept as", item.get("value_type"))
	if "valuemap" in item and item["valuemap"]["name"] not in valuemaps:
		fault(item["key"], "has an unknown value map")


def check_triggers(item, word):
	for trigger in item.get(word, []):
		for host, key in re.findall(r"\(/([^/]+)/([^,)\[]+(?:\[[^\]]*\])?)", trigger["expression"]):
			if host != template["template"] or key not in keys:
				fault("trigger", trigger["name"], "looks at", host, key)
		for macro in re.findall(r"\{\$[A-Z.]+\}", trigger["expression"]):
			if macro not in macros:
				fault("trigger", trigger["name"], "uses", macro)


for item in template["items"]:
	check_item(item, "")
for item in template["items"]:
	check_triggers(item, "triggers")


def run_script(script, rows):
	"""The discovery rule's script in node or duktape, on what Zabbix hands it."""
	text = "console.log((function (value) {\n%s\n})(%s));\n" % (script, json.dumps(json.dumps(rows)))
	path = os.path.join(TEMP, "discovery.js")
	with open(path, "w", encoding="utf-8") as f:
		f.write(text if ENGINE == "node" else text.replace("console.log", "print"))
	done = subprocess.run([ENGINE, path], capture_output=True, text=True, check=False)
	return json.loads(done.stdout or "null")


ENGINE = next((e for e in ("duk", "node") if any(os.access(os.path.join(p, e), os.X_OK)
    for p in os.environ["PATH"].split(":"))), None)


def index_of(text):
	return ".".join(str(ord(c)) for c in text)


SAMPLES = {
	"domain": (index_of(".example.org"), {"{#NAME}": ".example.org"}),
	"peer": (index_of("bank.example"), {"{#NAME}": "bank.example"}),
	"certificate": ("2." + index_of("partners"), {"{#NAME}": "partners", "{#KIND}": "ca"}),
	"listener": ("1.4.198.51.100.7.25", {"{#NAME}": "198.51.100.7:25"}),
}
seen = set()
for rule in template["discovery_rules"]:
	word = rule["key"].split(".")[1]
	seen.add(word)
	found = re.fullmatch(r"discovery\[\{#VALUE\},([0-9.]+)\]", rule["snmp_oid"])
	if not found or found.group(1) not in MIB:
		fault(rule["key"], "walks", rule["snmp_oid"])
	for item in rule["item_prototypes"]:
		check_item(item, "index")
		if "{#NAME}" not in item["key"]:
			fault(item["key"], "is the same for every row")
	for item in rule["item_prototypes"]:
		check_triggers(item, "trigger_prototypes")
	index, wanted = SAMPLES[word]
	if ENGINE:
		got = run_script(rule["preprocessing"][0]["parameters"][0], [{"{#SNMPINDEX}": index, "{#VALUE}": "2"}])
		if not got or any(got[0].get(k) != v for k, v in wanted.items()):
			fault(rule["key"], "makes", got, "of", index)
if seen != set(SAMPLES):
	fault("discovered are", sorted(seen))
if len(keys) != len(set(keys)):
	fault("two items have one key")
