/* SPDX-License-Identifier: MIT */
/* The KVM of the machine that the tests run on. */
#ifndef RINGSIDE_TESTS_KVM_HERE_H
#define RINGSIDE_TESTS_KVM_HERE_H

#include <stdbool.h>

/* Can the kvm engine be used?  If not it must refuse with its sentence (tests/kvm_host.c). */
bool kvm_here(void);
/* Is it kvm_pvm, software that executes a guest without the CPU, and does not do all that one
 * would? */
bool kvm_here_is_pvm(void);

#endif
