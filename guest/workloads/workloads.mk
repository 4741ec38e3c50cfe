# guest/workloads: NAME.c becomes workload-NAME.elf, with what it needs of runtime/.
WORKLOADS     := $(sort $(basename $(notdir $(wildcard guest/workloads/*.c))))
WORKLOAD_ELF  := $(patsubst %,$(O)/guest/workload-%.elf,$(WORKLOADS))
WORKLOAD_RT   := $(patsubst %,$(O)/%.o,$(basename $(sort $(wildcard guest/workloads/runtime/*.[cS]))))
WORKLOAD_OBJ  := $(patsubst %,$(O)/guest/workloads/%.o,$(WORKLOADS))
WORKLOAD_LIB  := $(O)/guest/workloads/runtime.a

guests: $(WORKLOAD_ELF)

$(WORKLOAD_OBJ) $(filter $(patsubst %.c,$(O)/%.o,$(wildcard guest/workloads/runtime/*.c)),$(WORKLOAD_RT)): $(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(patsubst %.S,$(O)/%.o,$(wildcard guest/workloads/runtime/*.S)): $(O)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<
$(WORKLOAD_LIB): $(WORKLOAD_RT)
	@rm -f $@
	ar rcsD $@ $^
$(WORKLOAD_ELF): $(O)/guest/workload-%.elf: $(O)/guest/workloads/%.o $(WORKLOAD_LIB) $(RUNTIME) guest/workloads/workload.ld
	$(CC) $(GUEST_LINK) -Wl,-T,guest/workloads/workload.ld -o $@ $< $(WORKLOAD_LIB) $(RUNTIME)

-include $(WORKLOAD_OBJ:.o=.d) $(WORKLOAD_RT:.o=.d)

# ---- make compare: each of them, and minios, on both engines; docs/comparison.md ----

COMPARISON    := $(O)/bench/comparison/report
HARDWARE      := $(O)/bench/comparison/hardware
guests: $(COMPARISON) $(HARDWARE) # tests/comparison.c runs them
$(COMPARISON) $(HARDWARE): %: %.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $< -ljson-c
-include $(COMPARISON).d $(HARDWARE).d

# Operations: as many as an interpreter of 32-bit guests (kvm_pvm) does in about a second.
COMPARE_N     := 10000
COMPARE_N_timer := 100
COMPARE_N_ipi := 1000
COMPARE_N_apic-icr := 2000
COMPARE_REPEAT := 3
COMPARE_DIR   := $(O)/compare
COMPARE_RUNS  := $(WORKLOADS:%=compare-%) compare-minios
# compare-NAME: $(call compare_run,NAME,IMAGE,OPTIONS).  Status 3, a guest that one engine could not
# run to its end, is a result.
compare_run    = $(RINGSIDE) compare $(2) --repeat $(COMPARE_REPEAT) --json $(COMPARE_DIR)/$(1).json -- --timeout 30 $(3) \
                 </dev/null >$(COMPARE_DIR)/$(1).txt || [ $$? = 3 ]

.PHONY: compare $(COMPARE_RUNS)
compare: all               ## the workloads on both engines; writes docs/comparison.md
	@$(MAKE) --no-print-directory -j1 $(COMPARE_RUNS)
	$(COMPARISON) $(COMPARE_RUNS:compare-%=$(COMPARE_DIR)/%.json) >docs/comparison.md.new
	mv docs/comparison.md.new docs/comparison.md
# What it does, for the report, is said at the top of its source.
$(WORKLOADS:%=compare-%): compare-%: $(COMPARISON)
	@mkdir -p $(COMPARE_DIR)
	sed -n '1d;s,^/\* *,,;s,^ \* *,,;/\*\//{s, *\*/.*,,;p;q};p' guest/workloads/$*.c >$(COMPARE_DIR)/$*.about
	$(call compare_run,$*,$(O)/guest/workload-$*.elf,$(if $(filter ipi,$*),--smp 2) \
	  -append n=$(or $(COMPARE_N_$*),$(COMPARE_N)))
compare-minios: $(COMPARISON)
	@mkdir -p $(COMPARE_DIR)
	echo 'The teaching kernel boots and runs a script.' >$(COMPARE_DIR)/minios.about
	$(call compare_run,minios,$(MINIOS),--module $(MINIOS_AR) \
	  -append 'script=hello a b;primes 1000;forktest;lazy')

# ---- make compare-hardware: the same on machines with SVM and VT-x; docs/comparison-hardware.md ----

HARDWARE_DIR  := $(O)/compare-hardware

.PHONY: compare-hardware compare-amd compare-intel
compare-hardware: test-deps ## model against CPUs with SVM and VT-x, emulated; writes docs/comparison-hardware.md
	@$(MAKE) --no-print-directory nested-ready $(HARDWARE)
	@$(MAKE) --no-print-directory -j2 compare-amd compare-intel
	$(HARDWARE) $$(ls $(HARDWARE_DIR)/*/*.json | sort -t/ -k3,3r -k4) >docs/comparison-hardware.md.new
	mv docs/comparison-hardware.md.new docs/comparison-hardware.md
compare-amd compare-intel: compare-%:
	tests/nested/boot -c $* -s 1500 $(NESTED_BASE) $(NESTED_LINUX) tests/nested/jobs/compare.sh $(HARDWARE_DIR)/$*
	cd $(HARDWARE_DIR)/$* && rm -f *.json && for f in *.out; do \
	  [ "$$(cat $${f%.out}.status)" = 0 ] || { echo "compare-$*: $$f:" >&2; cat "$$f" >&2; exit 1; }; \
	  mv "$$f" "$${f%.out}.json"; done
