"""Turns scrapes of the exporter into figures a minute and a gnuplot script:
draw_dashboard.py FOLDER-OF-SCRAPES OUTPUT-FOLDER; see draw_dashboard.sh.
"""
import os
import re
import sys
import time

WINDOW = 4	# scrapes
folder, out = sys.argv[1:3]
SERIES = re.compile(r"^(tlsward\w+)(?:\{(.*)\})? (\S+)$")


def read(path):
	values, at = {}, 0.0
	with open(path, encoding="utf-8") as f:
		for line in f:
			if line.startswith("# at "):
				at = int(line.split()[2]) / 1000
			found = SERIES.match(line)
			if found:
				labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', found.group(2) or "")))
				values[found.group(1), labels] = float(found.group(3))
	return at, values


scrapes = [read(os.path.join(folder, f)) for f in sorted(os.listdir(folder))]
scrapes = [s for s in scrapes if len(s[1]) > 20]
if len(scrapes) <= WINDOW:
	sys.exit("too few scrapes")
start = scrapes[0][0]
last = scrapes[-1][1]


def rate(keys, i):
	"""What rate(...)*60 is over the window that ends with scrape i."""
	(t0, a), (t1, b) = scrapes[i - WINDOW], scrapes[i]
	return sum(b.get(k, 0) - a.get(k, 0) for k in keys) * 60 / (t1 - t0)


def keys_of(metric, **labels):
	return [k for k in last if k[0] == metric and set(labels.items()) <= set(k[1])]


def by(metric, label):
	return {dict(k[1])[label]: [k] for k in sorted(last) if k[0] == metric and label in dict(k[1])}


def table(name, columns):
	"""Writes NAME.tsv, a column a curve; returns the titles of those that are not always zero."""
	rows = [[scrapes[i][0] - start] + [rate(keys, i) if minus is None else rate(keys, i) - rate(minus, i)
	    for _, keys, minus in columns] for i in range(WINDOW, len(scrapes))]
	with open(os.path.join(out, name + ".tsv"), "w", encoding="utf-8") as f:
		for row in rows:
			f.write("\t".join("%.3f" % v for v in row) + "\n")
	return [(c[0], i + 2) for i, c in enumerate(columns) if any(row[i + 1] > 0 for row in rows)]


def plain(groups):
	return [(title, keys, None) for title, keys in groups.items()]


COLOURS = ("#3274d9", "#56a64b", "#f2a93b", "#e02f44", "#8f3bb8", "#37872d", "#7f7f7f")
script = ["""set terminal pngcairo size 1280,860 font 'DejaVu Sans,10' background '#ffffff' enhanced
set output 'dashboard.png'
set multiplot
set tics textcolor '#444444'
set border 3 lc '#999999'
set grid ytics lc '#e6e6e6' lt 1
set xtics nomirror
set ytics nomirror
set key bottom center horizontal outside samplen 1 textcolor '#444444' width 0
set bmargin 4.5
set xtics nomirror out scale 0.5
set title font ',11' textcolor '#111111'
set style fill solid 0.55 noborder"""]


def place(x, y, w, h, title):
	script.append("set origin %g,%g\nset size %g,%g\nset title \"%s\" noenhanced" % (x, y, w, h, title))


def nothing(text):
	script.append("unset tics\nunset border\nset xrange [0:1]\nset yrange [0:1]\n"
	    "set label 1 \"%s\" at 0.5,0.5 center textcolor '#888888' noenhanced\n"
	    "plot NaN notitle\nunset label 1\nset tics\nset border 3 lc '#999999'\nset xrange [*:*]\nset yrange [*:*]" % text)


def curves(name, columns, stacked=False, colours=COLOURS):
	found = table(name, columns)
	if not found:
		return nothing("nothing in this run")
	script.append("set yrange [0:*]\nset xlabel 'seconds' font ',8' offset 0,0.6\nset ylabel 'a minute' font ',8'")
	parts = []
	if stacked:	# the tallest first, the lower ones over it
		for k in range(len(found), 0, -1):
			total = "+".join("$%d" % c for _, c in found[:k])
			parts.append("'%s.tsv' using 1:(%s) with filledcurves y1=0 lc rgb '%s' title \"%s\" noenhanced" %
			    (name, total, colours[k - 1], found[k - 1][0]))
	else:
		for i, (title, c) in enumerate(found):
			parts.append("'%s.tsv' using 1:%d with lines lw 2 lc rgb '%s' title \"%s\" noenhanced" %
			    (name, c, colours[i % len(colours)], title))
	script.append("plot " + ", \\\n".join(parts))
	script.append("unset xlabel\nunset ylabel\nset yrange [*:*]")
	return None


# ---- the row of single figures ----

state = last.get(("tlswardSettingsState", ()), 0)
days = {dict(k[1])["certificate"] + " (" + dict(k[1])["kind"] + ")": v for k, v in sorted(last.items())
    if k[0] == "tlswardCertificateDaysLeft" and v > -2147483648}


def grown(metric):
	return scrapes[-1][1].get((metric, ()), 0) - scrapes[0][1].get((metric, ()), 0)


clear, tls = grown("tlswardServerAcceptedClear"), grown("tlswardServerAcceptedTls")
tiles = [
	("Settings", {1: "in force", 2: "error"}.get(state, "none"), "#56a64b" if state == 1 else "#e02f44"),
	("First certificate to end", "%d d" % min(days.values()) if days else "no data",
	    "#999999" if not days else "#56a64b" if min(days.values()) >= 30 else
	    "#f2a93b" if min(days.values()) >= 7 else "#e02f44"),
	("Refused, this run", "%d" % grown("tlswardServerRefused"), "#3274d9"),
	("Would be refused, this run", "%d" % grown("tlswardServerWouldRefuse"), "#3274d9"),
	("Mail over TLS, this run", "%.0f%%" % (100 * tls / (clear + tls or 1)), "#3274d9"),
]
for i, (title, text, colour) in enumerate(tiles):
	x = 0.012 + i * 0.197
	script.append("set object %d rectangle from screen %g,0.855 to screen %g,0.945 fc rgb '%s' fs solid 1 noborder front" %
	    (i + 1, x, x + 0.188, colour))
	script.append("set label %d \"%s\" at screen %g,0.884 center font ',20' textcolor '#ffffff' noenhanced front" %
	    (100 + i, text, x + 0.094))
	script.append("set label %d \"%s\" at screen %g,0.927 center font ',9' textcolor '#ffffff' noenhanced front" %
	    (200 + i, title, x + 0.094))
script.append("set label 300 \"tlsward: %d scrapes by prometheus-snmp-exporter 0.21, %s; drawn by gnuplot\" "
    "at screen 0.5,0.972 center font ',11' textcolor '#111111' noenhanced" %
    (len(scrapes), time.strftime("%d %B %Y", time.gmtime(scrapes[-1][0]))))
place(0, 0.8, 0.2, 0.2, "")
script.append("unset tics\nunset border\nunset key\nset xrange [0:1]\nset yrange [0:1]\nplot NaN notitle\n"
    "set tics\nset border 3 lc '#999999'\nset key\nset xrange [*:*]\nset yrange [*:*]")
script += ["unset object %d" % (i + 1) for i in range(len(tiles))]
script += ["unset label %d" % n for i in range(len(tiles)) for n in (100 + i, 200 + i)] + ["unset label 300"]

# ---- the panels ----

place(0, 0.43, 0.36, 0.41, "Mail to all domains")
verified = keys_of("tlswardDomainAcceptedVerified")
curves("domains", [("in clear", keys_of("tlswardDomainAcceptedClear"), None),
    ("TLS", keys_of("tlswardDomainAcceptedTls"), verified), ("TLS, verified", verified, None),
    ("refused", keys_of("tlswardDomainRefused"), None)], True, ("#f2a93b", "#3274d9", "#56a64b", "#e02f44"))
place(0.34, 0.43, 0.33, 0.41, "Over TLS, by domain")
curves("tls", plain(by("tlswardDomainAcceptedTls", "domain")))
place(0.67, 0.43, 0.33, 0.41, "In clear, by domain")
curves("clear", plain(by("tlswardDomainAcceptedClear", "domain")))
place(0, 0.01, 0.34, 0.41, "Refusals, by reason")
if keys_of("tlswardReasonRefused"):
	curves("refused", plain(by("tlswardReasonRefused", "reason")), True, ("#e02f44", "#f2a93b", "#8f3bb8") + COLOURS)
else:
	nothing("the agent does not serve this table")
place(0.34, 0.01, 0.33, 0.41, "Would-refusals, by peer")
curves("would", plain(by("tlswardPeerWouldRefuse", "peer")))
place(0.67, 0.01, 0.33, 0.41, "Days left of certificates")
if days:
	with open(os.path.join(out, "days.tsv"), "w", encoding="utf-8") as f:
		for i, (name, v) in enumerate(days.items()):
			f.write("%d\t%g\t\"%s\"\t%d\n" % (i, v, name, 0x56a64b if v >= 30 else 0xf2a93b if v >= 7 else 0xe02f44))
	script.append("unset key\nset boxwidth 0.6\nset yrange [0:*]\nset xrange [-0.7:%g]" % (len(days) - 0.3))
	script.append("plot 'days.tsv' using 1:2:4:xtic(3) with boxes lc rgb variable, "
	    "'' using 1:2:(sprintf('%d', $2)) with labels offset 0,0.6")
else:
	nothing("the agent does not serve this table")
with open(os.path.join(out, "plot.gp"), "w", encoding="utf-8") as f:
	f.write("\n".join(script) + "\nunset multiplot\n")
