# ThreadSanitizer.  Included by the Makefile.
#
#   make tsan [TSAN_SECONDS=10]    the tests and the soak with every race of the VMM reported
#
# The world stub and the guests are built without it, as for `make asan`.  What is suppressed, one
# function that looks at guest RAM, is in tests/tsan/suppressions with the reason.
#
# Left out:
#   decoder*, emu_*, length, mmu*, differential: one thread, and slow.
#   nested*: whole machines, slow enough without.
#   native: one thread; and its signal handler is entered without FS, so without thread-local storage,
#     but ThreadSanitizer puts a C function of its own before every handler.
#   minios_os/fork_survives_a_full_memory: how much memory 30 children take depends on how far they
#     get before they are killed; a slow machine never runs out.
TSAN_SECONDS ?= 10
TSAN_FLAGS   := -fsanitize=thread -fno-omit-frame-pointer
TSAN_NOT     := decoder*/*|lab/*|nested*/*|emu_*/*|length/*|mmu*/*|differential/*|native/*|$(strip \
                minios_os/fork_survives_a_full_memory)
TSAN_O       := $(O)/tsan

ifneq ($(filter -fsanitize=thread,$(SANFLAGS)),)
TEST_OBJ     += $(O)/tests/tsan/arena.o
endif

.PHONY: tsan

# Crashes are the tests' business.  A race in a process whose status nobody looks at must not go
# unnoticed: all reports go to files.
TSAN_ENV     := RINGSIDE=$(TSAN_O)/ringside GUESTS=$(O)/guest \
                TSAN_OPTIONS=log_path=$(TSAN_O)/race:suppressions=tests/tsan/suppressions:$(strip \
                handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0)

tsan: test-deps            ## tests and soak under ThreadSanitizer, TSAN_SECONDS=10 of soak
	@$(MAKE) --no-print-directory -j$(JOBS) O=$(TSAN_O) SANFLAGS='$(TSAN_FLAGS)' \
	  CFLAGS='-O1 -g' $(TSAN_O)/ringside $(TSAN_O)/tests/ringside-tests guests
	@$(MAKE) --no-print-directory -j$(JOBS) guests $(SOAK)
	@rm -f $(TSAN_O)/race.*
	@bad=0; \
	$(TSAN_ENV) $(TSAN_O)/tests/ringside-tests \
	  --filter '!($(TSAN_NOT))' $(TESTFLAGS) || bad=1; \
	for run in 'conform -append interrupts' 'conform -append paging' 'minios -append demo' smp; do \
	  set -- $$run; g=$$1; shift; \
	  $(TSAN_ENV) $(TSAN_O)/ringside run --smp 4 --timeout 300 $(O)/guest/$$g.elf $$@ \
	    </dev/null >$(TSAN_O)/guest.out 2>&1; \
	  [ $$? = 33 ] || { echo "tsan: $$run with --smp 4:"; tail $(TSAN_O)/guest.out; bad=1; }; \
	done; \
	$(TSAN_ENV) $(SOAK) $(TSAN_O)/ringside $(SOAK_GUEST) $(TSAN_SECONDS) || bad=1; \
	for f in $(TSAN_O)/race.*; do [ ! -e $$f ] || { cat $$f; bad=1; }; done; \
	[ $$bad = 0 ] && echo "tsan: no race" || { echo "tsan: FAILED"; exit 1; }
