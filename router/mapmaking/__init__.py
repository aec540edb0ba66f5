"""Maps made from what is there already: rule files and Alertmanager's routing tree."""
