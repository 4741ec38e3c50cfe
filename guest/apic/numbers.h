/* SPDX-License-Identifier: MIT */
/* Numbers that both C and assembly need. */
#ifndef APIC_NUMBERS_H
#define APIC_NUMBERS_H

#define TRAMPOLINE 0x8000 /* start-up vector 8 */

#endif
