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
$(WORKLOAD_LIB): $(WORKLOAD_RT) $(O)/guest/minios/lib.o $(O)/guest/minios/format.o
	@rm -f $@
	ar rcsD $@ $^
$(WORKLOAD_ELF): $(O)/guest/workload-%.elf: $(O)/guest/workloads/%.o $(WORKLOAD_LIB) guest/workloads/workload.ld
	$(CC) $(GUEST_LINK) -Wl,-T,guest/workloads/workload.ld -o $@ $< $(WORKLOAD_LIB)

-include $(WORKLOAD_OBJ:.o=.d) $(WORKLOAD_RT:.o=.d)
