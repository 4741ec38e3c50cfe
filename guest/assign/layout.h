/* SPDX-License-Identifier: MIT */
/* What start.S and main.c agree on. */
#ifndef GUEST_ASSIGN_LAYOUT_H
#define GUEST_ASSIGN_LAYOUT_H

#define SEL_CODE   0x08
#define SEL_DATA   0x10
#define TRAMPOLINE 0x8000 /* start-up vector 8 */

#endif
