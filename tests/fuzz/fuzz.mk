# Fuzzing.  Included by the Makefile.
#
#   make fuzz [N=cases] [SEED=s]    emulator and decoder against the CPU, in a world
#   make fuzz-scan [T=seconds]      decoder and scanner on arbitrary bytes (libFuzzer)
#   make fuzz-loader [T=seconds]    ELF/Multiboot loader and `scan` on arbitrary files (libFuzzer)

# More Debian packages, in the form of deps.mk: only the last two targets need them.
FUZZ_DEPS := \
  clang              /usr/bin/clang \
  libclang-rt-14-dev /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a

N    ?= 1000000
SEED ?= 1
T    ?= 600

FUZZ_DIFF     := $(O)/tests/fuzz-differential
FUZZ_DIFF_OBJ := $(O)/tests/fuzz/differential.o $(O)/tests/diff_gen.o $(O)/tests/diff_run.o \
                 $(O)/tests/diff_flags.o

.PHONY: fuzz fuzz-scan fuzz-loader fuzz-clang fuzz-deps

$(FUZZ_DIFF): $(FUZZ_DIFF_OBJ) $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzz: test-deps            ## emulator against the CPU, N=1000000 random instructions
	@$(MAKE) --no-print-directory $(FUZZ_DIFF)
	$(FUZZ_DIFF) --seed $(SEED) --count $(N)

-include $(FUZZ_DIFF_OBJ:.o=.d)

# The libFuzzer targets: everything they need is compiled by clang, with the sanitizers.
FUZZ_CC     := $(firstword $(wildcard /usr/bin/clang-14 /usr/bin/clang))
FUZZ_RT     := $(wildcard /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a)
FUZZ_SAN    := address,undefined
FUZZ_CFLAGS := -std=c11 -O1 -g $(WARN) -fno-common -pthread -fno-omit-frame-pointer \
               -fno-sanitize-recover=undefined
FUZZ_LOADER_SRC := vmm/loader.c vmm/multiboot.c vmm/elf_sections.c vmm/symbols.c vmm/scan_image.c
FUZZ_OBJ    := $(patsubst %.c,$(O)/fuzz/%.o,$(wildcard decoder/*.c))
FUZZ_LOADER_OBJ := $(FUZZ_LOADER_SRC:%.c=$(O)/fuzz/%.o)
FUZZ_BIN    := $(O)/fuzz/scan $(O)/fuzz/loader

$(O)/fuzz/%.o: %.c | fuzz-clang
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -MMD -MP \
	      -c -o $@ $<
$(O)/fuzz/scan: $(O)/fuzz/tests/fuzz/fuzz_scan.o $(FUZZ_OBJ)
$(O)/fuzz/loader: $(O)/fuzz/tests/fuzz/fuzz_loader.o $(FUZZ_OBJ) $(FUZZ_LOADER_OBJ)
$(FUZZ_BIN):
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer,$(FUZZ_SAN) -o $@ $^ $(LDLIBS)

fuzz-clang:
	@if [ -z "$(FUZZ_CC)" ] || [ -z "$(FUZZ_RT)" ]; then \
	  echo "fuzz: clang with libFuzzer is missing; run 'make fuzz-deps', or" \
	       "'apt-get install clang libclang-rt-14-dev'" >&2; exit 1; fi
fuzz-deps:                 ## install clang and libFuzzer for fuzz-scan and fuzz-loader
	@$(MAKE) --no-print-directory deps DEPS='$(FUZZ_DEPS)'

# What libFuzzer finds is written to $(O)/fuzz/found/; new inputs are kept in $(O)/fuzz/corpus/.
FUZZ_RUN = mkdir -p $(O)/fuzz/found $(O)/fuzz/corpus/$(1) && \
	  $(O)/fuzz/$(1) -max_total_time=$(T) -timeout=10 -rss_limit_mb=2048 -max_len=$(2) \
	    -print_final_stats=1 -artifact_prefix=$(O)/fuzz/found/$(1)- \
	    $(O)/fuzz/corpus/$(1) $(3)

fuzz-scan: test-deps fuzz-deps  ## libFuzzer on decoder and scanner, T=600 seconds
	@$(MAKE) --no-print-directory $(O)/fuzz/scan
	$(call FUZZ_RUN,scan,4200,tests/fuzz/corpus/scan)

# The seeds are this build's own small guests, without their debug information: a fuzzer does
# more with small files, and cut ones have no section headers.
fuzz-loader: test-deps fuzz-deps ## libFuzzer on the loader and `scan`, T=600 seconds
	@$(MAKE) --no-print-directory $(O)/fuzz/loader guests
	@mkdir -p $(O)/fuzz/seeds/loader
	@for f in $(O)/guest/*.elf; do objcopy --strip-debug $$f $(O)/fuzz/seeds/loader/$${f##*/}; done
	@find $(O)/fuzz/seeds/loader -size +24k -delete
	$(call FUZZ_RUN,loader,24576,$(O)/fuzz/seeds/loader tests/fuzz/corpus/loader)

-include $(FUZZ_OBJ:.o=.d) $(FUZZ_LOADER_OBJ:.o=.d) $(wildcard $(O)/fuzz/tests/fuzz/*.d)
