/* SPDX-License-Identifier: MIT */
#include "vmm/region.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/vm.h"

/* Under the device lock.  A file in memory: neither call waits for a disk or another program. */
static uint32_t region_read(void *dev, uint64_t off, unsigned width)
{
	const struct vm_region *r = dev;
	uint32_t val = 0;

	if (pread(r->fd, &val, width, (off_t)off) == (ssize_t)width)
		return val;
	region_lost(r);
	return UINT32_MAX;
}

static void region_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	const struct vm_region *r = dev;
	struct stat st;

	/* Not past the end: that would let the file grow again. */
	if (fstat(r->fd, &st) < 0 || (uint64_t)st.st_size < r->len ||
	    pwrite(r->fd, &val, width, (off_t)off) != (ssize_t)width)
		region_lost(r);
}

int region_add(const struct vm_region *r)
{
	struct vm *vm = r->vm;
	struct vm_region *slot = &vm->region[vm->regions];
	const struct bus_range range = { .name = "shm",
					 .base = r->gpa,
					 .len = r->len,
					 .dev = slot,
					 .read = region_read,
					 .write = region_write };
	int err;

	if (vm->regions == REGIONS_MAX)
		return -ENOSPC;
	err = bus_add(&vm->mmio, &range);
	if (err)
		return err;
	*slot = *r;
	vm->regions++;
	return 0;
}

const struct vm_region *region_at(const struct vm *vm, gpa_t gpa)
{
	for (unsigned i = 0; i < vm->regions; i++)
		if (gpa - vm->region[i].gpa < vm->region[i].len)
			return &vm->region[i];
	return NULL;
}

int region_lost(const struct vm_region *r)
{
	struct stat st;

	if (fstat(r->fd, &st) == 0 && (uint64_t)st.st_size < r->len)
		return vm_host_fail(r->vm,
				    "assigned device %u: its shared memory %s shrank from %llu to "
				    "%llu bytes while the guest had it",
				    r->device, r->file, (unsigned long long)r->len,
				    (unsigned long long)st.st_size);
	return vm_host_fail(r->vm,
			    "assigned device %u: the host has no page for its shared memory %s",
			    r->device, r->file);
}
