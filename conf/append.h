/*
 * Puts short texts behind one another, where printf(3) would be more than all
 * the rest: to a process that lives for one verdict each page of code is a fault.
 */
#ifndef TLSWARD_CONF_APPEND_H
#define TLSWARD_CONF_APPEND_H

#include <stdint.h>

/*
 * Writes text and its NUL at o, before end.  Returns where the NUL is, for the
 * next; NULL where there is no room for it, and for an o that is NULL.
 */
char *append(char *o, const char *end, const char *text);
/* The same of a number in digits. */
char *append_number(char *o, const char *end, uint64_t n);

#endif
