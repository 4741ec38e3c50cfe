# The soak.  Included by the Makefile.
#
#   make soak [SOAK_SECONDS=60]    interrupts of every kind on four vCPUs (guest/soak)
SOAK_SECONDS ?= 60
SOAK_OBJ     := $(O)/tests/soak/drive.o $(O)/tests/soak/check.o
SOAK         := $(O)/tests/soak/soak
TEST_OBJ     += $(SOAK_OBJ)

.PHONY: soak

$(SOAK): $(O)/tests/soak/main.o $(SOAK_OBJ)
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ -ljson-c

soak: all                  ## interrupts of every kind on four vCPUs, SOAK_SECONDS=60
	@$(MAKE) --no-print-directory $(SOAK)
	$(SOAK) $(RINGSIDE) $(SOAK_GUEST) $(SOAK_SECONDS)

-include $(O)/tests/soak/main.d
