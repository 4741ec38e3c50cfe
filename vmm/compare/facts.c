/* SPDX-License-Identifier: MIT */
/* What a reader must know of the machine; nothing that tells which one it is. */
#include <cpuid.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"
#include "vmm/kvm/kvm.h"

/* SDM Vol. 2A, CPUID, "Processor Brand String"; APM Vol. 3, Fn8000_0002. */
static void cpu_name(char out[49])
{
	unsigned r[12] = { 0 };
	char text[49];
	const char *s = text;
	size_t len;

	for (unsigned i = 0; i < 3; i++)
		__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2],
			    &r[4 * i + 3]);
	memcpy(text, r, 48);
	text[48] = '\0';
	s += strspn(s, " ");
	strcpy(out, *s ? s : "unknown");
	for (len = strlen(out); len && out[len - 1] == ' '; len--)
		out[len - 1] = '\0';
}

/* By the bit that hypervisors set; Linux, Documentation/virt/kvm/x86/cpuid.rst. */
static bool is_virtual(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c >> 31;
}

struct json_object *compare_machine(void)
{
	struct json_object *o = json_object_new_object();
	struct utsname un;
	cpu_set_t set;
	char cpu[49], err[256] = "";
	const char *module = access(KVM_PATH, F_OK) ? NULL
						    : kvm_module(KVM_MODULES, err, sizeof(err));

	if (!o)
		return NULL;
	cpu_name(cpu);
	js_add_str(o, "kernel", uname(&un) ? NULL : un.release);
	js_add_str(o, "cpu", cpu);
	js_add_num(o, "cpus",
		   sched_getaffinity(0, sizeof(set), &set) ? 1 : (uint64_t)CPU_COUNT(&set));
	js_add_bool(o, "virtual", is_virtual());
	js_add_str(o, "kvm_module", module);
	return o;
}
