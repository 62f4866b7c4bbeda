// SPDX-License-Identifier: GPL-2.0-only
/* Built once for each tool, with TOOL_MAIN set. */
#include <stdio.h>

#include "main.h"

int main(int argc, char **argv)
{
	int status = TOOL_MAIN(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		perror("stdout");
		return 2;
	}
	return status;
}
