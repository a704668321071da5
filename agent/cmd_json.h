/*
 * JSON (RFC 8259), written as it comes: no tree, nothing allocated.
 *
 * A key is NULL inside an array and at the top.  Octets that are not UTF-8 are
 * written as U+FFFD, so that the output always is.
 */
#ifndef TLSWARD_AGENT_CMD_JSON_H
#define TLSWARD_AGENT_CMD_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 16

struct json {
	FILE *f;
	unsigned depth;
	bool filled[JSON_DEPTH];	/* something stands at this depth already */
	char end[JSON_DEPTH];		/* '}' or ']' */
};

void json_begin(struct json *, FILE *);		/* opens the outer object */
void json_end(struct json *);			/* closes all that is open, and a newline */
void json_object(struct json *, const char *key);
void json_array(struct json *, const char *key);
void json_close(struct json *);			/* the innermost of the two */
void json_string(struct json *, const char *key, const char *value);	/* NULL: null */
void json_number(struct json *, const char *key, uint64_t value);
void json_integer(struct json *, const char *key, int64_t value);
void json_bool(struct json *, const char *key, bool value);

#endif
