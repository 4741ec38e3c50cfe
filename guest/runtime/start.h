/* SPDX-License-Identifier: MIT */
/* Numbers of the way into a guest, for its C and, with start.inc, its assembly. */
#ifndef GUEST_RUNTIME_START_H
#define GUEST_RUNTIME_START_H

#define SEL_CODE   0x08 /* flat, ring 0 */
#define SEL_DATA   0x10
#define TRAMPOLINE 0x8000 /* physical: where start-up IPIs with vector TRAMPOLINE >> 12 lead */

#endif
