# A walk by Net::SNMP: managers.pl PORT VERSION OID; see managers.py.
use strict;
use warnings;
use Net::SNMP qw(:asn1 oid_lex_sort);

my ($port, $version, $base) = @ARGV;
my @who = $version == 3
    ? (-version => 3, -username => 'perl', -authprotocol => 'sha', -authpassword => 'auth-passphrase',
       -privprotocol => 'aes', -privpassword => 'priv-passphrase')
    : (-version => $version, -community => 'public');
my ($session, $error) = Net::SNMP->session(-hostname => '127.0.0.1', -port => $port, -timeout => 5,
    -retries => 2, -translate => 0, @who);
die "$error\n" unless $session;
my $table = $session->get_table(-baseoid => $base, $version == 1 ? () : (-maxrepetitions => 25));
print 'error ', $session->error, "\n" unless $table;
my $types = $session->var_bind_types || {};
for my $oid (oid_lex_sort(keys %{$table || {}})) {
	my $value = $table->{$oid};
	$value = unpack('H*', $value) if $types->{$oid} == OCTET_STRING;
	print '.', $oid =~ s/^\.//r, " = $value\n";
}
