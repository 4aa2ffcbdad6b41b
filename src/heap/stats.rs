pub struct Stats; pub struct ClassStats; pub struct ProtectionReport;
