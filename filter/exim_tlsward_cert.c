/* The table of exim_tlsward_cert.so; see cert_calls.h. */
#include <sys/mman.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "cert_calls.h"

#ifndef MADV_POPULATE_READ		/* Linux 5.14; older kernels say EINVAL */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define HEAP_MAX (8u * 1024 * 1024)

static uintptr_t heap;			/* where it begins */

/*
 * The process is Exim's, who may use libcrypto itself or by a library: nothing
 * of its global state is set here but that it is not torn down at the end of
 * the process, which is work for nothing.
 */
static void
begin(void)
{
	uintptr_t arena = mallinfo2().arena, end = (uintptr_t)sbrk(0);

	heap = arena < end ? end - arena : end;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

/* The pages that hold the octets from start on, len of them. */
static void
populate(uintptr_t start, size_t len, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = start & ~(page - 1);

	(void)madvise((void *)first, (start - first) + len, advice);
}

static int
populate_object(struct dl_phdr_info *object, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), closed = 0;

	(void)size;
	(void)arg;
	if (strstr(object->dlpi_name, "libcrypto.so") == NULL)
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			closed = (object->dlpi_phdr[i].p_vaddr + object->dlpi_phdr[i].p_memsz) & ~(page - 1);
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &object->dlpi_phdr[i];
		uintptr_t from = h->p_vaddr, end = from + h->p_memsz;

		if (h->p_type != PT_LOAD)
			continue;
		/* What the loader has closed cannot be had for writing, nor anything with it. */
		if ((h->p_flags & PF_W) != 0 && from < closed && closed < end)
			from = closed;
		populate(object->dlpi_addr + from, end - from,
		    h->p_flags & PF_W ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	}
	return 1;
}

/*
 * What a process meets page by page after the fork: libcrypto's code, and the
 * heap, which it shares with the daemon until it writes there.  Each page is a
 * trap, and a hundred of them cost a virtual machine more than the verification;
 * the kernel brings them all in at once for a tenth of that.
 */
static void
arrive(void)
{
	uintptr_t end = (uintptr_t)sbrk(0);

	(void)dl_iterate_phdr(populate_object, NULL);
	if (heap < end && end - heap <= HEAP_MAX)
		populate(heap, end - heap, MADV_POPULATE_WRITE);
}

const struct cert_calls tlsward_cert_calls = {
	.make = OBJECT_MAKE,
	.begin = begin,
	.arrive = arrive,
	.verifier_new = cert_verifier_new,
	.verifier_warm = cert_verifier_warm,
	.client_new = cert_client_new,
	.client_add = cert_client_add,
	.client_chain_unknown = cert_client_chain_unknown,
	.client_free = cert_client_free,
	.client_facts = cert_client_facts,
	.client_trusted = cert_client_trusted,
};
