/* SPDX-License-Identifier: MIT */
/* How this KVM is set up: which configuration of the model (model.h) it is. */
#include <stdio.h>
#include <string.h>

#include "vmm/kvm/kvm.h"

/* A parameter of a module, as its file in /sys/module says: Y or N (1 or 0); @or if it has none. */
static bool parameter(const char *modules, const char *module, const char *name, bool or)
{
	char path[512];
	int c = EOF;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/parameters/%s", modules, module, name);
	f = fopen(path, "re");
	if (f) {
		c = fgetc(f);
		fclose(f);
	}
	return c == EOF ? or : c == 'Y' || c == 'y' || c == '1';
}

/*
 * KVM shows in these files what it does, not what it was asked for: without the CPU's support they
 * are N.  Source: KVM svm.c, svm_hardware_setup(); vmx.c, vmx_hardware_setup().
 */
int kvm_model_config(const char *modules, const char *module, bool kernel_irqchip, char *why,
		     size_t size)
{
	*why = '\0';
	if (!strcmp(module, "kvm_amd")) {
		if (!parameter(modules, module, "npt", true)) {
			snprintf(why, size,
				 "the model has no SVM with shadow paging (kvm_amd.npt=0)");
			return -1;
		}
		return kernel_irqchip && parameter(modules, module, "avic", false) ? MODEL_SVM_AVIC
										   : MODEL_SVM_NPT;
	}
	if (!strcmp(module, "kvm_intel")) {
		if (!parameter(modules, module, "ept", true))
			return MODEL_VTX_SHADOW;
		if (!parameter(modules, module, "unrestricted_guest", true)) {
			snprintf(why, size,
				 "the model has no EPT without unrestricted guest "
				 "(kvm_intel.unrestricted_guest=0)");
			return -1;
		}
		return kernel_irqchip && parameter(modules, module, "enable_apicv", false)
			       ? MODEL_VTX_APICV
			       : MODEL_VTX_EPT;
	}
	snprintf(why, size, "the model is of kvm_intel and kvm_amd, and this is %s", module);
	return -1;
}
