#!/usr/bin/perl
# What one writes for SNMP without a compiler: a pass_persist script of snmpd.conf.
# The same rows as rival_agent's, at 1.3.6.1.4.1.8072.9999.9999.2555.1.5.1.2; the
# answers are made beforehand, and what follows a row's OID is looked up in a hash.
# For tests/bench_snmp.sh.
#	rival_pass.pl FILE
use strict;
use warnings;

my $column = '.1.3.6.1.4.1.8072.9999.9999.2555.1.5.1.2';
my ($n, @index, @answer, %get, %next) = (0);

open my $names, '<', $ARGV[0] or die "$ARGV[0]: $!\n";
chomp(my @name = <$names>);
my %value = map { $_ => 2 + ++$n % 3 } @name;
for my $name (sort @name) {	# octets, as the index has them
	push @index, $name;
	push @answer, join("\n", join('.', $column, unpack('C*', $name)), 'integer', $value{$name}, '');
}
for my $i (0 .. $#index) {
	my ($oid) = $answer[$i] =~ /^([^\n]*)/;
	$get{$oid} = $answer[$i];
	$next{$oid} = $i < $#index ? $answer[$i + 1] : "NONE\n";
}

# The first row after an OID that is no row's.
sub after {
	my ($oid) = @_;
	my ($lo, $hi) = (0, scalar @index);
	my $asked = pack 'C*', map { $_ > 255 ? 255 : $_ } grep { length } split /\./,
	    index("$oid.", "$column.") == 0 ? substr($oid, length $column) : '';
	while ($lo < $hi) {
		my $mid = int(($lo + $hi) / 2);
		if ($index[$mid] le $asked) { $lo = $mid + 1 } else { $hi = $mid }
	}
	return $lo < @index ? $answer[$lo] : "NONE\n";
}

$| = 1;
while (my $command = <STDIN>) {
	chomp $command;
	last if $command eq '';
	if ($command eq 'PING') {
		print "PONG\n";
		next;
	}
	chomp(my $oid = <STDIN>);
	if ($command eq 'getnext') {
		print $next{$oid} // after($oid);
	} elsif ($command eq 'get') {
		print $get{$oid} // "NONE\n";
	} else {
		<STDIN>;
		print "not-writable\n";
	}
}
