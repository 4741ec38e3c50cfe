/* SPDX-License-Identifier: MIT */
#include "tests/kvm_here.h"

#include <string.h>
#include <unistd.h>

#include "vmm/kvm/kvm.h"

static const char *module(void)
{
	static char err[512];
	int fd = kvm_open(KVM_PATH, err, sizeof(err));

	if (fd < 0)
		return NULL;
	close(fd);
	return kvm_module(KVM_MODULES, err, sizeof(err));
}

bool kvm_here(void)
{
	return module() != NULL;
}

bool kvm_here_is_pvm(void)
{
	const char *name = module();

	return name && !strcmp(name, "kvm_pvm");
}
