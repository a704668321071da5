/*
 * Which file it is that was read, and as it was when: another value means that
 * there is something else to read.
 */
#ifndef TLSWARD_CONF_FILE_ID_H
#define TLSWARD_CONF_FILE_ID_H

#include <stdbool.h>
#include <stdint.h>

struct file_id {
	uint64_t dev, ino, size;
	int64_t mtime_s, ctime_s;
	int64_t mtime_ns, ctime_ns;
};

/* Of an open file, by its fstat(2). */
struct stat;
void file_identity(const struct stat *, struct file_id *);
/* Of a path (symbolic links followed), or 0: errno is set then. */
bool file_identify(const char *path, struct file_id *);
bool file_id_equal(const struct file_id *, const struct file_id *);

#endif
