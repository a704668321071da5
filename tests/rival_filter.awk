#!/usr/bin/awk -f
# What tlsward's filter is measured beside: one that only answers, as short as
# it can be.  It asks for what filter-tlsward asks for.  An answer is not held
# back, for smtpd waits for it.
BEGIN { FS = OFS = "|" }
$1 == "filter" {
	print "filter-result", $6, $7, "proceed"
	fflush()
	next
}
$1 == "config" && $2 == "ready" {
	n = split("link-connect link-disconnect link-greeting link-identify link-tls link-auth", report, " ")
	for (i = 1; i <= n; i++)
		print "register", "report", "smtp-in", report[i]
	n = split("starttls mail-from rcpt-to", phase, " ")
	for (i = 1; i <= n; i++)
		print "register", "filter", "smtp-in", phase[i]
	print "register", "ready"
	fflush()
}
