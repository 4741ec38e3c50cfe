/* SPDX-License-Identifier: MIT */
/*
 * Exits of the hardware by reason: records of kvm:kvm_exit as two kernels describe them
 * (tests/kvm_exit/), perf's ring, the tables of causes, and what is said where nothing may be
 * recorded.  Real exits of SVM are measured in a nested machine.
 */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/kvm/hardware.h"
#include "vmm/symbols.h"

TestSuite(kvm_exits, .timeout = 60);

/* ---- what a record says ---- */

static struct kvm_format *ke_format(const char *name)
{
	char path[128], text[16384], err[256] = "";
	struct kvm_format *f;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "tests/kvm_exit/%s.format", name);
	file = fopen(path, "r");
	cr_assert_not_null(file, "%s", path);
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	f = kvm_format_new(text, len, err, sizeof(err));
	cr_assert_not_null(f, "%s: %s", name, err);
	return f;
}

/* Both have the fields in the same places, but for what 6.18 adds behind them. */
struct ke_record {
	uint16_t type;
	uint8_t flags, preempt;
	int32_t pid;
	uint32_t reason, pad;
	uint64_t rip;
	uint32_t isa, pad2;
	uint64_t info1, info2;
	uint32_t intr_info, error_code, vcpu, pad3;
	uint64_t requests;
};

#define ID_6_1  1419
#define ID_6_18 103

static const struct {
	uint32_t isa, reason;
	const char *name;
} ke_names[] = {
	{ HW_ISA_SVM, 0x400, "npf" },
	{ HW_ISA_SVM, 0x72, "cpuid" },
	{ HW_ISA_SVM, 0x65, "cr0_sel_write" },
	{ HW_ISA_SVM, 0x46, "UD excp" },
	{ HW_ISA_SVM, 0x60, "interrupt" },
	{ HW_ISA_SVM, 0, "read_cr0" },
	{ HW_ISA_VMX, 48, "EPT_VIOLATION" },
	{ HW_ISA_VMX, 0, "EXCEPTION_NMI" },
	{ HW_ISA_VMX, 10, "CPUID" },
	{ HW_ISA_VMX, 0x80000021, "INVALID_STATE FAILED_VMENTRY" },
};

static void ke_check(const char *format, uint16_t id)
{
	struct kvm_format *f = ke_format(format);
	struct ke_record r = { .type = id,
			       .rip = 0xfffff000,
			       .info1 = 1ull << 40,
			       .info2 = 0xfee000b0,
			       .intr_info = 0x80000306 };
	struct hw_exit x;
	char name[64];

	for (size_t i = 0; i < sizeof(ke_names) / sizeof(ke_names[0]); i++) {
		r.isa = ke_names[i].isa;
		r.reason = ke_names[i].reason;
		cr_assert(kvm_format_read(f, &r, sizeof(r), &x));
		cr_expect(x.isa == r.isa && x.reason == r.reason && x.rip == r.rip &&
			  x.info1 == r.info1 && x.info2 == r.info2 && x.intr_info == r.intr_info);
		kvm_format_reason(f, &r, sizeof(r), name, sizeof(name));
		cr_expect_str_eq(name, ke_names[i].name, "%s: \"%s\", not \"%s\"", format, name,
				 ke_names[i].name);
	}
	/* One that this kernel has no name for: still a word, and no other's. */
	r.isa = HW_ISA_SVM;
	r.reason = 0x3ff;
	kvm_format_reason(f, &r, sizeof(r), name, sizeof(name));
	cr_expect_not_null(strstr(name, "3ff"), "%s", name);
	/* Not ours, or cut off. */
	r.type++;
	cr_expect_not(kvm_format_read(f, &r, sizeof(r), &x));
	r.type--;
	cr_expect_not(kvm_format_read(f, &r, 40, &x));
	cr_expect_not(kvm_format_read(f, &r, 0, &x));
	kvm_format_free(f);
}

Test(kvm_exits, records_are_read_as_the_kernel_describes_them)
{
	ke_check("linux-6.1", ID_6_1);
	ke_check("linux-6.18", ID_6_18);
}

Test(kvm_exits, what_is_no_format_is_refused)
{
	static const char *const bad[] = {
		"",
		"name: kvm_exit\nID: 7\nformat:\n\nprint fmt: \"\"\n",
		"\0\377\200 no text at all",
		/* Another event. */
		"name: kvm_entry\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\t"
		"size:2;\tsigned:0;\n\nprint fmt: \"\"\n",
		/* A field of three bytes. */
		"name: kvm_exit\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\t"
		"size:2;\tsigned:0;\n\n\tfield:unsigned int exit_reason;\toffset:8;\tsize:3;\t"
		"signed:0;\n\tfield:unsigned long guest_rip;\toffset:16;\tsize:8;\tsigned:0;\n\t"
		"field:u32 isa;\toffset:24;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char err[256] = "";

		cr_expect_null(
			kvm_format_new(bad[i], i == 2 ? 20 : strlen(bad[i]), err, sizeof(err)),
			"%zu", i);
		cr_expect_not_null(strstr(err, "not of a known kind"), "%zu: %s", i, err);
	}
}

/* ---- where nothing may be read ---- */

static void ke_refused(const char *tracefs, const char *want)
{
	char err[256] = "";
	uint64_t id;

	cr_expect_null(kvm_format_open(tracefs, &id, err, sizeof(err)), "%s", want);
	cr_expect_not_null(strstr(err, want), "\"%s\", not \"%s\"", err, want);
}

static void ke_write(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f, "%s", path);
	fputs(text, f);
	fclose(f);
}

Test(kvm_exits, what_is_missing_is_a_sentence)
{
	char dir[] = "/tmp/ringside-trace-XXXXXX", sub[128], cmd[160];
	int status;
	pid_t pid;

	cr_assert_not_null(mkdtemp(dir));
	ke_refused(dir, "no tracepoint kvm:kvm_exit");
	snprintf(sub, sizeof(sub), "%s/events", dir);
	mkdir(sub, 0755);
	snprintf(sub, sizeof(sub), "%s/events/kvm", dir);
	mkdir(sub, 0755);
	snprintf(sub, sizeof(sub), "%s/events/kvm/kvm_exit", dir);
	mkdir(sub, 0755);
	ke_write(sub, "id", "many\n");
	ke_refused(dir, "is not a number");
	ke_write(sub, "id", "7\n");
	ke_refused(dir, "no tracepoint kvm:kvm_exit");
	ke_write(sub, "format", "nothing\n");
	ke_refused(dir, "not of a known kind");
	/* A user who is not root; and if we are not, we are that user. */
	chmod(sub, 0700);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		char err[256] = "";
		struct kvm_ring r;
		uint64_t id;

		if (!geteuid() && setresuid(65534, 65534, 65534))
			_exit(1);
		else if (geteuid() != 65534)
			chmod(sub, 0);
		if (kvm_format_open(dir, &id, err, sizeof(err)) || !strstr(err, "only root may"))
			_exit(2);
		if (!kvm_ring_open(&r, 7, err, sizeof(err)) ||
		    strncmp(err, "recording the tracepoint kvm:kvm_exit: ", 39) != 0)
			_exit(3);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
	chmod(sub, 0700);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	cr_expect_eq(system(cmd), 0);
}

/* ---- the ring ---- */

#define KE_PAGE 4096u

struct ke_ring {
	struct kvm_ring r;
	struct perf_event_mmap_page *page;
	uint8_t *data;
};

static void ke_ring_make(struct ke_ring *k)
{
	k->r = (struct kvm_ring){ .fd = -1, .len = 2 * KE_PAGE };
	k->r.map = mmap(NULL, k->r.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(k->r.map, MAP_FAILED);
	k->page = k->r.map;
	k->page->data_offset = KE_PAGE;
	k->page->data_size = KE_PAGE;
	k->data = (uint8_t *)k->r.map + KE_PAGE;
}

static void ke_put(struct ke_ring *k, const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		k->data[k->page->data_head++ % KE_PAGE] = ((const uint8_t *)p)[i];
}

static void ke_put_sample(struct ke_ring *k, uint32_t val)
{
	struct {
		struct perf_event_header h;
		uint32_t raw, val[9];
	} rec = { { PERF_RECORD_SAMPLE, 0, sizeof(rec) }, sizeof(rec.val), { 0 } };

	for (unsigned i = 0; i < 9; i++)
		rec.val[i] = val + i;
	ke_put(k, &rec, sizeof(rec));
}

struct ke_seen {
	uint32_t next;
	unsigned bad;
};

static void ke_sample(void *arg, const uint8_t *raw, size_t len)
{
	struct ke_seen *s = arg;
	uint32_t val[9];

	s->bad += len != sizeof(val);
	memcpy(val, raw, sizeof(val));
	for (unsigned i = 0; i < 9; i++)
		s->bad += val[i] != s->next + i;
	s->next++;
}

/* 48 bytes do not divide the ring's 4096: records go around its end at every place. */
Test(kvm_exits, the_ring_gives_each_record_once_and_in_order)
{
	struct ke_seen seen = { 0 };
	struct ke_ring k;
	uint32_t n = 0;

	ke_ring_make(&k);
	for (unsigned round = 0; round < 500; round++) {
		for (unsigned i = 0; i < round % 80; i++)
			ke_put_sample(&k, n++);
		cr_assert_eq(kvm_ring_drain(&k.r, ke_sample, &seen), 0);
		cr_assert_eq(seen.next, n);
		cr_assert_eq(k.page->data_tail, k.page->data_head);
	}
	cr_expect_eq(seen.bad, 0);
	ke_put_sample(&k, n);
	cr_expect_eq(kvm_ring_drain(&k.r, NULL, NULL), 0);
	cr_expect_eq(seen.next, n, "nobody got it");
	kvm_ring_close(&k.r);
}

Test(kvm_exits, lost_records_are_counted_and_odd_ones_are_passed_over)
{
	struct {
		struct perf_event_header h;
		uint64_t id, lost;
	} lost = { { PERF_RECORD_LOST, 0, sizeof(lost) }, 1, 41 };
	struct {
		struct perf_event_header h;
		uint32_t raw;
	} liar = { { PERF_RECORD_SAMPLE, 0, sizeof(liar) }, 4000 };
	struct perf_event_header throttle = { PERF_RECORD_THROTTLE, 0, sizeof(throttle) };
	struct perf_event_header none = { 0 };
	struct ke_seen seen = { 0 };
	struct ke_ring k;

	ke_ring_make(&k);
	ke_put(&k, &lost, sizeof(lost));
	ke_put_sample(&k, 0);
	ke_put(&k, &throttle, sizeof(throttle));
	ke_put(&k, &liar, sizeof(liar));
	ke_put_sample(&k, 1);
	ke_put(&k, &lost, sizeof(lost));
	cr_expect_eq(kvm_ring_drain(&k.r, ke_sample, &seen), 82);
	cr_expect_eq(seen.next, 2);
	cr_expect_eq(seen.bad, 0);
	/* Without a length there is no next one: it must end all the same. */
	ke_put(&k, &none, sizeof(none));
	ke_put_sample(&k, 2);
	cr_expect_eq(kvm_ring_drain(&k.r, ke_sample, &seen), 0);
	cr_expect_eq(k.page->data_tail, k.page->data_head);
	kvm_ring_close(&k.r);
}

static void *ke_nothing(void *arg)
{
	return arg;
}

static void ke_any(void *arg, const uint8_t *raw, size_t len)
{
	(void)raw;
	*(unsigned *)arg += len > 8;
}

/* The kernel's own rings, with a tracepoint that a thread passes when it makes another. */
Test(kvm_exits, a_real_ring_has_what_this_thread_did)
{
	char text[32] = "", err[256] = "";
	FILE *f = fopen("/sys/kernel/tracing/events/task/task_newtask/id", "r");
	struct kvm_ring r;
	unsigned n = 0;

	if (f) {
		cr_assert_not_null(fgets(text, sizeof(text), f));
		fclose(f);
	}
	if (kvm_ring_open(&r, strtoull(text, NULL, 10), err, sizeof(err))) {
		cr_expect_not_null(strstr(err, "recording the tracepoint"), "%s", err);
		cr_expect(!f || geteuid(), "root may: %s", err);
		return;
	}
	for (unsigned i = 0; i < 7; i++) {
		pthread_t t;

		cr_assert_eq(pthread_create(&t, NULL, ke_nothing, NULL), 0);
		pthread_join(t, NULL);
	}
	cr_expect_eq(kvm_ring_drain(&r, ke_any, &n), 0);
	cr_expect_eq(n, 7);
	cr_expect_eq(kvm_ring_drain(&r, ke_any, &n), 0);
	cr_expect_eq(n, 7);
	kvm_ring_close(&r);
}

/* ---- causes ---- */

static bool ke_memory(const void *arg, uint64_t gpa)
{
	(void)arg;
	return gpa < 1u << 20;
}

static enum hw_cause ke_cause(struct hw_exit x)
{
	return hw_exit_cause(&x, ke_memory, NULL);
}

/* By reason, with the qualification and interruption information, or the faulting address. */
static enum hw_cause ke_vmx(uint32_t reason, uint64_t qualification, uint32_t intr_info)
{
	return ke_cause((struct hw_exit){ .isa = HW_ISA_VMX,
					  .reason = reason,
					  .info1 = qualification,
					  .intr_info = intr_info });
}

static enum hw_cause ke_svm(uint32_t code, uint64_t gpa)
{
	return ke_cause((struct hw_exit){ .isa = HW_ISA_SVM, .reason = code, .info2 = gpa });
}

/* SDM Vol. 3C, Appendix C; APM Vol. 2, Appendix C. */
Test(kvm_exits, reasons_are_for_the_causes_that_the_manuals_give_them)
{
	cr_expect_eq(ke_vmx(10, 0, 0), HW_CPUID);
	cr_expect_eq(ke_vmx(30, 0, 0), HW_IO);
	cr_expect_eq(ke_vmx(28, 0x0, 0), HW_CR0, "mov to CR0");
	cr_expect_eq(ke_vmx(28, 0x13, 0), HW_CR3, "mov from CR3");
	cr_expect_eq(ke_vmx(28, 0x4, 0), HW_CR4);
	cr_expect_eq(ke_vmx(28, 0x20, 0), HW_CR0, "clts");
	cr_expect_eq(ke_vmx(28, 0x30, 0), HW_CR0, "lmsw");
	cr_expect_eq(ke_vmx(28, 0x8, 0), HW_CR8);
	cr_expect_eq(ke_vmx(0, 0, 0x80000306), HW_EXC_UD);
	cr_expect_eq(ke_vmx(0, 0, 0x80000b0e), HW_EXC_PF);
	cr_expect_eq(ke_vmx(0, 0, 0x80000202), HW_NMI);
	cr_expect_eq(ke_vmx(44, 0, 0), HW_LAPIC);
	cr_expect_eq(ke_vmx(48, 0, 0), HW_MEMORY);
	cr_expect_eq(ke_vmx(49, 0, 0), HW_DEVICE);
	cr_expect_eq(ke_vmx(52, 0, 0), HW_INTERRUPT);
	cr_expect_eq(ke_vmx(0x8000000a, 0, 0), HW_CPUID, "flags are not the reason");
	cr_expect_eq(ke_vmx(35, 0, 0), HW_OTHER);
	cr_expect_eq(ke_vmx(0xffff, 0, 0), HW_OTHER);
	cr_expect_eq(ke_svm(0x00, 0), HW_CR0);
	cr_expect_eq(ke_svm(0x13, 0), HW_CR3);
	cr_expect_eq(ke_svm(0x14, 0), HW_CR4);
	cr_expect_eq(ke_svm(0x18, 0), HW_CR8);
	cr_expect_eq(ke_svm(0x27, 0), HW_DR);
	cr_expect_eq(ke_svm(0x30, 0), HW_DR);
	cr_expect_eq(ke_svm(0x41, 0), HW_EXC_DB);
	cr_expect_eq(ke_svm(0x4e, 0), HW_EXC_PF);
	cr_expect_eq(ke_svm(0x51, 0), HW_EXC_AC);
	cr_expect_eq(ke_svm(0x4d, 0), HW_EXC);
	cr_expect_eq(ke_svm(0x60, 0), HW_INTERRUPT);
	cr_expect_eq(ke_svm(0x64, 0), HW_WINDOW);
	cr_expect_eq(ke_svm(0x78, 0), HW_HLT);
	cr_expect_eq(ke_svm(0xa6, 0), HW_HLT);
	cr_expect_eq(ke_svm(0x7b, 0), HW_IO);
	cr_expect_eq(ke_svm(0x7c, 0), HW_MSR);
	cr_expect_eq(ke_svm(0x7f, 0), HW_SHUTDOWN);
	cr_expect_eq(ke_svm(0x400, 0x1000), HW_MEMORY);
	cr_expect_eq(ke_svm(0x400, 0xfee000b0), HW_LAPIC);
	cr_expect_eq(ke_svm(0x400, 0xfee01000), HW_DEVICE);
	cr_expect_eq(ke_svm(0x400, 0xd0000000), HW_DEVICE);
	cr_expect_eq(ke_svm(0x401, 0), HW_LAPIC);
	cr_expect_eq(ke_svm(0x61, 0), HW_NMI);
	cr_expect_eq(ke_svm(0xffffffff, 0), HW_OTHER, "VMEXIT_INVALID");
	cr_expect_eq(ke_cause((struct hw_exit){ .isa = 3, .reason = 10 }), HW_OTHER, "no such CPU");
}

static enum hw_cause ke_event(enum model_event e, bool msr, enum model_config config)
{
	return hw_event_cause(e, &(struct hw_context){ .config = config, .msr = msr });
}

/* Every event that can be an exit somewhere is for a cause, or it would be compared with nothing.
 */
Test(kvm_exits, every_event_of_the_model_has_a_cause_in_every_configuration)
{
	for (unsigned e = EV_NONE + 1; e < EV_COUNT; e++) {
		const struct model_answer *a = model_answer(e);

		cr_expect_eq(model_event_find(a->name), e, "%s", a->name);
		for (unsigned c = 0; c < MODEL_CONFIGS; c++)
			if (a->verdict[c] != MODEL_NO)
				cr_expect_neq(ke_event(e, false, c), HW_OTHER, "%s in %s", a->name,
					      model_config_name(c));
	}
	cr_expect_eq(model_event_find("no such event"), EV_NONE);
	cr_expect_eq(model_config_find("svm-npt"), MODEL_SVM_NPT);
	cr_expect_eq(model_config_find("no such"), -1);
	cr_expect_eq(ke_event(EV_VMX, false, MODEL_SVM_NPT), HW_EXC_UD);
	cr_expect_eq(ke_event(EV_VMX, false, MODEL_VTX_EPT), HW_HYPERCALL);
	cr_expect_eq(ke_event(EV_SVM, false, MODEL_VTX_EPT), HW_EXC_UD);
	cr_expect_eq(ke_event(EV_LAPIC_EOI_LEVEL, false, MODEL_SVM_NPT), HW_LAPIC);
	cr_expect_eq(ke_event(EV_LAPIC_EOI_LEVEL, true, MODEL_SVM_NPT), HW_MSR);
	cr_expect_eq(ke_event(EV_RAM, false, MODEL_VTX_SHADOW), HW_EXC_PF);
	/* Without APICv the local APIC's page is one that KVM does not map, or knows nothing of. */
	cr_expect_eq(ke_event(EV_LAPIC_EOI, false, MODEL_VTX_APICV), HW_LAPIC);
	cr_expect_eq(ke_event(EV_LAPIC_EOI, false, MODEL_VTX_EPT), HW_MEMORY);
	cr_expect_eq(ke_event(EV_LAPIC_EOI, false, MODEL_VTX_SHADOW), HW_EXC_PF);
	cr_expect_eq(
		hw_event_cause(EV_LAPIC_EOI, &(struct hw_context){ MODEL_VTX_EPT, false, true }),
		HW_DEVICE);
	for (unsigned c = 0; c < HW_CAUSES; c++)
		for (unsigned other = 0; other < c; other++)
			cr_expect_str_neq(hw_cause_name(c), hw_cause_name(other));
}

/* ---- which configuration ---- */

static int ke_config(const char *module, const char *parameter, char value, bool kernel, char *why)
{
	char dir[] = "/tmp/ringside-module-XXXXXX", sub[128], text[4] = { value, '\n', 0 };
	int config;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/%s", dir, module);
	mkdir(sub, 0755);
	snprintf(sub, sizeof(sub), "%s/%s/parameters", dir, module);
	mkdir(sub, 0755);
	if (parameter)
		ke_write(sub, parameter, text);
	config = kvm_model_config(dir, module, kernel, why, 160);
	snprintf(sub, sizeof(sub), "rm -r %s", dir);
	cr_expect_eq(system(sub), 0);
	cr_expect_eq(config < 0, *why != '\0', "%s", why);
	return config;
}

Test(kvm_exits, the_configuration_is_that_of_the_module)
{
	char why[160];

	cr_expect_eq(ke_config("kvm_amd", NULL, 0, true, why), MODEL_SVM_NPT);
	cr_expect_eq(ke_config("kvm_amd", "avic", 'Y', true, why), MODEL_SVM_AVIC);
	cr_expect_eq(ke_config("kvm_amd", "avic", 'Y', false, why), MODEL_SVM_NPT);
	cr_expect_eq(ke_config("kvm_amd", "npt", 'N', true, why), -1);
	cr_expect_not_null(strstr(why, "npt=0"));
	cr_expect_eq(ke_config("kvm_intel", "ept", 'Y', true, why), MODEL_VTX_EPT);
	cr_expect_eq(ke_config("kvm_intel", "ept", '0', true, why), MODEL_VTX_SHADOW);
	cr_expect_eq(ke_config("kvm_intel", "enable_apicv", '1', true, why), MODEL_VTX_APICV);
	cr_expect_eq(ke_config("kvm_intel", "enable_apicv", 'Y', false, why), MODEL_VTX_EPT);
	cr_expect_eq(ke_config("kvm_intel", "unrestricted_guest", 'N', true, why), -1);
	cr_expect_eq(ke_config("kvm_pvm", NULL, 0, true, why), -1);
	cr_expect_not_null(strstr(why, "kvm_pvm"));
}

/* ---- tables ---- */

static int64_t ke_num(struct json_object *o, const char *a, const char *b)
{
	struct json_object *v = json_object_object_get(o, a);

	if (v && b)
		v = json_object_object_get(v, b);
	return v ? json_object_get_int64(v) : -1;
}

static void ke_add(struct kvm_hw *hw, unsigned vcpu, unsigned kind, uint32_t eip, uint64_t n)
{
	hw->vcpu[vcpu].count[kind] += n;
	hw->vcpu[vcpu].total += n;
	sites_add(&hw->vcpu[vcpu].sites, eip, (uint16_t)kind, n);
}

Test(kvm_exits, one_reason_for_two_causes_is_one_row)
{
	static struct kvm_vm k = { .module = "kvm_amd" };
	static struct kvm_hw hw = { .lock = PTHREAD_MUTEX_INITIALIZER, .kvm = &k, .kinds = 3 };
	static struct vm vm = { .vcpus = 2 };
	struct json_object *o, *row;
	char *text = NULL;
	size_t size;
	FILE *f;

	hw.vm = &vm;
	vm.symbols = symbols_new();
	cr_assert_eq(symbols_add(vm.symbols, 0x1000, 0x100, "work"), 0);
	symbols_finish(vm.symbols);
	hw.kind[0] = (struct hw_kind){ HW_ISA_SVM, 0x400, HW_MEMORY, "npf" };
	hw.kind[1] = (struct hw_kind){ HW_ISA_SVM, 0x72, HW_CPUID, "cpuid" };
	hw.kind[2] = (struct hw_kind){ HW_ISA_SVM, 0x400, HW_LAPIC, "npf" };
	ke_add(&hw, 0, 0, 0x1000, 2);
	ke_add(&hw, 0, 1, 0x1010, 30);
	ke_add(&hw, 1, 1, 0x1010, 10);
	ke_add(&hw, 1, 2, 0x1020, 50);
	ke_add(&hw, 1, 2, 0x2000, 5);
	hw.lost = 4;
	o = kvm_hw_json(&hw);
	cr_assert_not_null(o);
	cr_expect_eq(ke_num(o, "exits", NULL), 97);
	cr_expect_eq(ke_num(o, "lost", NULL), 4);
	cr_expect_eq(json_object_array_length(json_object_object_get(o, "reasons")), 2);
	row = json_object_array_get_idx(json_object_object_get(o, "reasons"), 0);
	cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "reason")), "npf");
	cr_expect_eq(ke_num(row, "count", NULL), 57);
	cr_expect_eq(ke_num(row, "code", NULL), 0x400);
	cr_expect_eq(ke_num(row, "causes", "memory fault"), 2);
	cr_expect_eq(ke_num(row, "causes", "local APIC"), 55);
	cr_expect_eq(ke_num(o, "causes", "cpuid"), 40);
	row = json_object_array_get_idx(json_object_object_get(o, "vcpus"), 1);
	cr_expect_eq(ke_num(row, "exits", NULL), 65);
	cr_expect_eq(ke_num(row, "causes", "npf (local APIC)"), 55);
	cr_expect_eq(ke_num(row, "causes", "cpuid"), 10);
	row = json_object_array_get_idx(json_object_object_get(o, "symbols"), 0);
	cr_expect_eq(ke_num(row, "count", NULL), 92);
	cr_expect_eq(ke_num(row, "causes", "npf (memory fault)"), 2);
	json_object_put(o);
	f = open_memstream(&text, &size);
	kvm_hw_print(&hw, f);
	fclose(f);
	cr_expect_not_null(strstr(text, "memory fault 2, local APIC 55\n"), "%s", text);
	cr_expect_not_null(strstr(text, "4 more were lost"), "%s", text);
	cr_expect_not_null(strstr(text, "work"), "%s", text);
	free(text);
	/* What was not counted is not told as none. */
	snprintf(hw.why, sizeof(hw.why), "only root may");
	cr_expect_null(kvm_hw_json(&hw));
	cr_expect_str_eq(kvm_hw_why(&hw), "only root may");
	for (unsigned i = 0; i < 2; i++)
		sites_free(&hw.vcpu[i].sites);
	symbols_free(vm.symbols);
}
