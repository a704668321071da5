/*
 * The CA tree of tests/ca_tree.h in a folder:
 *
 *	make_ca DIR [large]
 *
 * With "large" also bundle.pem and many.pem, for measuring.
 */
#include "ca_tree.h"

int
main(int argc, char *argv[])
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: make_ca DIR [large]\n");
		return 2;
	}
	tree_make_all();
	tree_write(argv[1], argc == 3);
	tree_free_all();
	return 0;
}
