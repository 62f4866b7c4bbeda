/* SPDX-License-Identifier: GPL-2.0-only */
/* Each tool has one function, which main.c calls in that tool's program. */
#ifndef HPM_META_MAIN_H
#define HPM_META_MAIN_H

int hpm_check_main(int argc, char **argv);
int hpm_dump_main(int argc, char **argv);
int hpm_restore_main(int argc, char **argv);
int hpm_repair_main(int argc, char **argv);
int hpm_metadata_size_main(int argc, char **argv);
int hpm_ls_main(int argc, char **argv);
int hpm_delta_main(int argc, char **argv);

#endif /* HPM_META_MAIN_H */
