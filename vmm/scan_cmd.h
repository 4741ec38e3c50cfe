/* SPDX-License-Identifier: MIT */
#ifndef RINGSIDE_VMM_SCAN_CMD_H
#define RINGSIDE_VMM_SCAN_CMD_H

/*
 * `ringside scan IMAGE [--json] [--all]`: print which sensitive instructions an ELF kernel has,
 * which of them do not trap at ring 3, and where.  @argv[0] is skipped.
 * Returns the exit status (enum cli_status): 0 whatever was found, 2 for bad usage or a bad file,
 * 4 if the host has no memory or standard output cannot be written.
 */
int scan_main(int argc, char **argv);

#endif
