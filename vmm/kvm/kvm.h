/* SPDX-License-Identifier: MIT */
/*
 * The engine `kvm`: the guest runs on /dev/kvm.  Devices, interrupt code, loader and run loop are
 * those of every engine; only with vm->kernel_irqchip are the interrupt controllers and the 8254
 * KVM's own.
 * Source: Linux, Documentation/virt/kvm/api.rst, "The Definitive KVM (Kernel-based Virtual Machine)
 * API Documentation".
 */
#ifndef RINGSIDE_VMM_KVM_KVM_H
#define RINGSIDE_VMM_KVM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/model.h"
#include "vmm/types.h"

#define KVM_PATH    "/dev/kvm"
#define KVM_MODULES "/sys/module"

struct vm;
struct kvm_vm;
struct json_object;

/*
 * Open KVM's device at @path and see that it is one this program can use.  Returns a descriptor, or
 * negative errno with a sentence in @err that says what is missing and what to do.
 */
int kvm_open(const char *path, char *err, size_t size);

/*
 * Which module is behind KVM?  Looks for kvm_intel, kvm_amd and kvm_pvm in the directory @modules.
 * Returns its name, or NULL with a sentence in @err.
 */
const char *kvm_module(const char *modules, char *err, size_t size);

/*
 * Which configuration of the model is @module's, by its parameters in the directory @modules?
 * Returns an enum model_config, or -1 with a sentence in @why.
 */
int kvm_model_config(const char *modules, const char *module, bool kernel_irqchip, char *why,
		     size_t size);

/*
 * What a user must know of the KVM that @vm runs on, one sentence; NULL: nothing.
 */
const char *kvm_caveat(const struct vm *vm);

/* Forget vm->kvm.  The engines are destroyed already.  Idempotent. */
void kvm_vm_free(struct vm *vm);

/* vm->kernel_irqchip: level of ISA line @irq (0-15) at KVM's PIC and IOAPIC.  Any thread. */
void kvm_isa_line(struct vm *vm, unsigned irq, bool level);

/*
 * What KVM counted between the creation of the vCPUs and their end: "module", "irqchip", "config",
 * "stats" (sums), "vcpus" and "hardware".  NULL if the VM has not run on KVM.
 */
struct json_object *kvm_json(const struct vm *vm);
void kvm_print(const struct vm *vm, FILE *f);

#endif
