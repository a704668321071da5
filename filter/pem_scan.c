/* See pem_scan.h. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pem_scan.h"
#include "whole_file.h"

static const signed char base64[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
	24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
	48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
	['\n'] = -1, ['\r'] = -1, [' '] = -1, ['\t'] = -1, ['='] = -2
};

/* Pads of a last group of `have` characters that are right: none, or as many as it lacks. */
static bool
ends_well(unsigned have, unsigned pad)
{
	return have == 0 ? pad == 0 : have >= 2 && (pad == 0 || have + pad == 4);
}

size_t
base64_decode(const char *in, size_t len, unsigned char *out)
{
	const unsigned char *p = (const unsigned char *)in, *end = p + len;
	unsigned char *o = out;
	uint32_t acc = 0;
	unsigned have = 0, pad = 0;

	while (p < end) {
		int v;

		/* Whole groups of four, which is nearly all of a file. */
		while (have == 0 && pad == 0 && end - p >= 4) {
			int a = base64[p[0]], b = base64[p[1]], c = base64[p[2]], d = base64[p[3]];

			if (a <= 0 || b <= 0 || c <= 0 || d <= 0)
				break;
			acc = (uint32_t)(a - 1) << 18 | (uint32_t)(b - 1) << 12 |
			    (uint32_t)(c - 1) << 6 | (uint32_t)(d - 1);
			o[0] = (unsigned char)(acc >> 16);
			o[1] = (unsigned char)(acc >> 8);
			o[2] = (unsigned char)acc;
			o += 3;
			p += 4;
			acc = 0;
		}
		if (p == end)
			break;
		v = base64[*p++];
		if (v == -1)
			continue;
		if (v == 0 || (pad > 0 && v != -2))
			return SIZE_MAX;
		if (v == -2) {
			if (++pad > 2)
				return SIZE_MAX;
			continue;
		}
		acc = acc << 6 | (uint32_t)(v - 1);
		if (++have == 4) {
			*o++ = (unsigned char)(acc >> 16);
			*o++ = (unsigned char)(acc >> 8);
			*o++ = (unsigned char)acc;
			acc = have = 0;
		}
	}
	if (!ends_well(have, pad))
		return SIZE_MAX;
	if (have >= 2)
		*o++ = (unsigned char)(acc >> (have == 2 ? 4 : 10));
	if (have == 3)
		*o++ = (unsigned char)(acc >> 2);
	return (size_t)(o - out);
}

static bool
der_header(const struct der *in, size_t *header, size_t *length)
{
	size_t octets, v = 0;

	if (in->len < 2)
		return false;
	if (in->p[1] < 0x80) {
		*header = 2;
		*length = in->p[1];
	} else {
		octets = in->p[1] & 0x7f;
		if (octets == 0 || octets > 4 || in->len < 2 + octets)
			return false;
		for (size_t i = 0; i < octets; i++)
			v = v << 8 | in->p[2 + i];
		*header = 2 + octets;
		*length = v;
	}
	return *length <= in->len - *header;
}

bool
der_skip(struct der *in, struct der *whole)
{
	size_t header, length;

	if (!der_header(in, &header, &length))
		return false;
	whole->p = in->p;
	whole->len = header + length;
	in->p += whole->len;
	in->len -= whole->len;
	return true;
}

bool
der_take(struct der *in, unsigned char tag, struct der *value)
{
	size_t header, length;

	if (in->len == 0 || in->p[0] != tag || !der_header(in, &header, &length))
		return false;
	value->p = in->p + header;
	value->len = length;
	in->p += header + length;
	in->len -= header + length;
	return true;
}

/*
 * Buffers of files.  Large ones are mapped with all their pages at once: pages
 * met one by one cost a virtual machine more than decoding what is in them.
 * Not the file itself: one cut short while it is mapped ends the process.
 */
#define MAP_FROM (64 * 1024)

static unsigned char *
buffer_new(size_t size)
{
	void *p;

	if (size < MAP_FROM)
		return malloc(size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return p != MAP_FAILED ? p : NULL;
}

static void
buffer_free(unsigned char *p, size_t size)
{
	if (p != NULL && size >= MAP_FROM)
		munmap(p, size);
	else
		free(p);
}

/* The whole file, with a NUL behind, in f->buffer; its length, or 0. */
static size_t
slurp(const char *path, size_t max, struct pem_file *f, char *why, size_t whysize)
{
	struct stat st;
	int fd = whole_file_open(path, max, &st, why, whysize);

	if (fd == -1)
		return 0;
	file_identity(&st, &f->id);
	f->size = (size_t)st.st_size + 1;
	if ((f->buffer = buffer_new(f->size)) == NULL) {
		snprintf(why, whysize, "out of memory");
		close(fd);
		return 0;
	}
	if (!whole_file_read(fd, &st, f->buffer, why, whysize))
		return 0;
	f->buffer[f->size - 1] = '\0';
	return f->size - 1;
}

static bool
add(struct pem_file *f, size_t *room, const unsigned char *p, size_t len)
{
	struct der *more, in = { p, len }, whole;

	/* One TLV, and nothing behind it. */
	if (len == 0 || p[0] != 0x30 || !der_skip(&in, &whole) || in.len != 0)
		return false;
	if (f->n == *room) {
		*room = *room > 0 ? *room * 2 : 64;
		if ((more = realloc(f->entries, *room * sizeof(*more))) == NULL)
			return false;
		f->entries = more;
	}
	f->entries[f->n++] = whole;
	return true;
}

/* Decodes in place: what is decoded is shorter than what it was decoded from. */
static bool
scan(struct pem_file *f, size_t len, const char *label, char *why, size_t whysize)
{
	char begin[64], end[64];
	char *text = (char *)f->buffer, *p = text, *stop;
	unsigned char *o = f->buffer;
	size_t room = 0, n;

	if (f->buffer[0] == 0x30 && add(f, &room, f->buffer, len))
		return true;
	snprintf(begin, sizeof(begin), "-----BEGIN %s-----", label);
	snprintf(end, sizeof(end), "-----END %s-----", label);
	while ((p = memmem(p, len - (size_t)(p - text), begin, strlen(begin))) != NULL) {
		p += strlen(begin);
		stop = memmem(p, len - (size_t)(p - text), end, strlen(end));
		n = stop != NULL ? base64_decode(p, (size_t)(stop - p), o) : SIZE_MAX;
		if (n == SIZE_MAX || !add(f, &room, o, n)) {
			snprintf(why, whysize, "entry %zu of it (%s) is damaged or cut short",
			    f->n + 1, label);
			return false;
		}
		o += n;
		p = stop + strlen(end);
	}
	if (f->n == 0)
		snprintf(why, whysize, "holds no %s in PEM", label);
	return f->n > 0;
}

bool
pem_load(const char *path, const char *label, size_t max, struct pem_file *f,
    char *why, size_t whysize)
{
	size_t len;

	memset(f, 0, sizeof(*f));
	len = slurp(path, max, f, why, whysize);
	if (len > 0 && scan(f, len, label, why, whysize))
		return true;
	pem_free(f);
	return false;
}

void
pem_free(struct pem_file *f)
{
	free(f->entries);
	buffer_free(f->buffer, f->size);
	memset(f, 0, sizeof(*f));
}
