/* SPDX-License-Identifier: MIT */
/*
 * KVM's own counters, which describe themselves: a header, an identifier, a list of descriptors
 * with names, and the values.  Nothing here knows one of them by name.
 * Source: Linux, Documentation/virt/kvm/api.rst, "KVM_GET_STATS_FD" (4.133).
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm/priv.h"
#include "vmm/kvm/trace.h"

#define STATS_MAX  1024u /* descriptors; KVM has some 50 */
#define NAME_MAX_  256u
#define VALUES_MAX 1024u /* of one histogram */
#define LINE_MAX_  96

struct stat_desc {
	char *name;
	uint32_t flags, offset;
	uint16_t size; /* in values of 8 bytes */
	size_t first;  /* index of its first value in before[] and after[] */
};

struct kvm_stats {
	int fd;
	uint32_t data_offset;
	size_t count, values;
	struct stat_desc *desc;
	uint64_t *before, *after;
	bool begun;
};

static bool read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	return pread(fd, buf, len, (off_t)offset) == (ssize_t)len;
}

static bool read_descriptor(struct kvm_stats *s, const struct kvm_stats_header *h, uint32_t i)
{
	uint64_t len = sizeof(struct kvm_stats_desc) + h->name_size;
	struct stat_desc *d = &s->desc[i];
	struct kvm_stats_desc raw;

	if (!read_at(s->fd, &raw, sizeof(raw), h->desc_offset + i * len) || raw.size > VALUES_MAX)
		return false;
	d->name = calloc(1, h->name_size + 1);
	if (!d->name ||
	    !read_at(s->fd, d->name, h->name_size, h->desc_offset + i * len + sizeof(raw)))
		return false;
	for (char *c = d->name; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	d->flags = raw.flags;
	d->offset = raw.offset;
	d->size = raw.size;
	d->first = s->values;
	s->values += raw.size;
	return true;
}

static bool read_descriptors(struct kvm_stats *s)
{
	struct kvm_stats_header h;

	if (!read_at(s->fd, &h, sizeof(h), 0) || !h.num_desc || h.num_desc > STATS_MAX ||
	    !h.name_size || h.name_size > NAME_MAX_)
		return false;
	s->data_offset = h.data_offset;
	s->desc = calloc(h.num_desc, sizeof(*s->desc));
	for (s->count = 0; s->desc && s->count < h.num_desc; s->count++)
		if (!read_descriptor(s, &h, (uint32_t)s->count)) {
			s->count++; /* its name may be there */
			return false;
		}
	s->before = calloc(s->values + 1, sizeof(*s->before));
	s->after = calloc(s->values + 1, sizeof(*s->after));
	return s->desc && s->before && s->after;
}

struct kvm_stats *kvm_stats_open(int fd)
{
	struct kvm_stats *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	if (read_descriptors(s) && !kvm_stats_read(s))
		return s;
	kvm_stats_free(s);
	return NULL;
}

int kvm_stats_read(struct kvm_stats *s)
{
	if (!s)
		return 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct stat_desc *d = &s->desc[i];

		if (!read_at(s->fd, s->after + d->first, d->size * sizeof(uint64_t),
			     (uint64_t)s->data_offset + d->offset))
			return -EIO;
	}
	if (!s->begun)
		memcpy(s->before, s->after, s->values * sizeof(*s->before));
	s->begun = true;
	return 0;
}

void kvm_stats_free(struct kvm_stats *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->desc[i].name);
	free(s->desc);
	free(s->before);
	free(s->after);
	close(s->fd);
	free(s);
}

/* What grew is a difference; a level and a peak are what they are. */
static uint64_t value(const struct kvm_stats *s, const struct stat_desc *d, unsigned i)
{
	uint32_t type = d->flags & KVM_STATS_TYPE_MASK;
	uint64_t now = s->after[d->first + i];

	return type == KVM_STATS_TYPE_INSTANT || type == KVM_STATS_TYPE_PEAK
		       ? now
		       : now - s->before[d->first + i];
}

uint64_t kvm_stats_get(const struct kvm_stats *s, const char *name)
{
	for (size_t i = 0; s && i < s->count; i++)
		if (!strcmp(s->desc[i].name, name) && s->desc[i].size == 1)
			return value(s, &s->desc[i], 0);
	return 0;
}

/* ---- for the account ---- */

/* Add each to what @o has under its name: a number, or a list of numbers. */
static void add_to(struct json_object *o, const struct kvm_stats *s)
{
	for (size_t i = 0; s && i < s->count; i++) {
		const struct stat_desc *d = &s->desc[i];
		struct json_object *old = json_object_object_get(o, d->name), *list;

		if (d->size == 1) {
			uint64_t n = old ? json_object_get_uint64(old) : 0;

			json_object_object_add(o, d->name,
					       json_object_new_uint64(n + value(s, d, 0)));
			continue;
		}
		list = json_object_new_array();
		for (unsigned k = 0; k < d->size; k++) {
			uint64_t n = old ? json_object_get_uint64(json_object_array_get_idx(old, k))
					 : 0;

			json_object_array_add(list, json_object_new_uint64(n + value(s, d, k)));
		}
		json_object_object_add(o, d->name, list);
	}
}

/* Of the VM and of all its vCPUs; NULL where this kernel has none. */
static struct json_object *sums(const struct kvm_vm *k)
{
	struct json_object *o;

	if (!k->stats)
		return NULL;
	o = json_object_new_object();
	add_to(o, k->stats);
	for (unsigned i = 0; i < k->vm->vcpus; i++)
		add_to(o, k->vcpu_stats[i]);
	return o;
}

static const char *irqchip_name(const struct vm *vm)
{
	return vm->kernel_irqchip ? "kernel" : "user";
}

static void add_str(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, s ? json_object_new_string(s) : NULL);
}

static void add_config(struct json_object *o, const struct vm *vm)
{
	char why[160];
	int config = kvm_model_config(KVM_MODULES, vm->kvm->module, vm->kernel_irqchip, why,
				      sizeof(why));

	add_str(o, "config", config < 0 ? NULL : model_config_name((enum model_config)config));
	add_str(o, "config_why", config < 0 ? why : NULL);
}

static void add_hardware(struct json_object *o, struct kvm_hw *hw)
{
	json_object_object_add(o, "hardware", hw ? kvm_hw_json(hw) : NULL);
	add_str(o, "hardware_why", hw ? kvm_hw_why(hw) : "nobody asked for them before the run");
}

struct json_object *kvm_json(const struct vm *vm)
{
	struct json_object *o, *list;

	if (!vm->kvm)
		return NULL;
	o = json_object_new_object();
	json_object_object_add(o, "module", json_object_new_string(vm->kvm->module));
	json_object_object_add(o, "irqchip", json_object_new_string(irqchip_name(vm)));
	json_object_object_add(o, "stats", sums(vm->kvm));
	list = json_object_new_array();
	for (unsigned i = 0; i < vm->vcpus && vm->kvm->vcpu_stats[i]; i++) {
		struct json_object *v = json_object_new_object(), *stats = json_object_new_object();

		add_to(stats, vm->kvm->vcpu_stats[i]);
		json_object_object_add(v, "id", json_object_new_uint64(i));
		json_object_object_add(v, "stats", stats);
		json_object_array_add(list, v);
	}
	json_object_object_add(o, "vcpus", list);
	add_config(o, vm);
	add_hardware(o, vm->kvm->hw);
	return o;
}

static void print_sums(const struct kvm_vm *k, FILE *f)
{
	struct json_object *all = sums(k);
	int column = 0;

	if (!all) {
		fputs("  this kernel has no counters of KVM to read (Linux 5.14 has)\n", f);
		return;
	}
	json_object_object_foreach(all, name, val)
	{
		char item[NAME_MAX_ + 32];
		int len;

		if (json_object_is_type(val, json_type_array) || !json_object_get_uint64(val))
			continue;
		len = snprintf(item, sizeof(item), "%s %llu", name,
			       (unsigned long long)json_object_get_uint64(val));
		if (column && column + len + 2 > LINE_MAX_) {
			fputs(",\n", f);
			column = 0;
		}
		column += fprintf(f, "%s%s", column ? ", " : "  ", item);
	}
	if (column)
		fputc('\n', f);
	json_object_put(all);
}

void kvm_print(const struct vm *vm, FILE *f)
{
	if (!vm->kvm)
		return;
	fprintf(f, "kvm: module %s, interrupt controllers of the %s\n", vm->kvm->module,
		vm->kernel_irqchip ? "kernel" : "user process");
	if (kvm_caveat(vm))
		fprintf(f, "  %s\n", kvm_caveat(vm));
	print_sums(vm->kvm, f);
	if (vm->kvm->hw)
		kvm_hw_print(vm->kvm->hw, f);
}
