"""Errors that valgrind found in code of ours: vg_ours.py XML...

Reads what `valgrind --xml=yes --xml-file=` wrote and prints each error of which a
stack goes through an object named *tlsward*, one a paragraph.  What a mail server
and its libraries do by themselves is not ours to judge.  A file cut short is an
error as well, of a process that was killed.
"""
import os
import sys
import xml.etree.ElementTree as et


def told(error):
	lines = [error.findtext("kind", "") + ": " +
	    (error.findtext("what") or error.findtext("xwhat/text") or "")]
	for frame in error.iter("frame"):
		lines.append("   %s (%s) %s:%s" % (frame.findtext("fn", "?"),
		    os.path.basename(frame.findtext("obj", "?")), frame.findtext("file", "?"), frame.findtext("line", "?")))
	return "\n".join(lines)


for path in sys.argv[1:]:
	try:
		root = et.parse(path).getroot()
	except et.ParseError as e:
		print("%s: %s" % (os.path.basename(path), e))
		continue
	for error in root.iter("error"):
		if any("tlsward" in os.path.basename(o.text or "") for o in error.iter("obj")):
			print(told(error))
